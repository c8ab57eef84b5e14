-- Times are microseconds since 1970 in UTC.
create table message (
    id integer primary key,
    name text not null,
    process text,
    business text,
    topic text,
    system text,
    queue text,
    title text,
    external text,
    message_id text,
    state integer,
    attempts integer,
    first integer not null,
    last integer not null,
    due integer,
    code text,
    outcome text,
    reason text,
    reason_ru text,
    error_group text
);
-- Also the way to an id of which the beginning is known.
create unique index message_name on message (name);
create index message_external on message (external) where external is not null;
-- Lists go by the time at which a message came.
create index message_first on message (first);
create index message_system on message (system, first);
create index message_topic on message (topic, first);
create index message_unfinished on message (state, first, system) where state <> 6;
create index message_error_group on message (error_group, id) where error_group is not null;

create table event (
    message integer not null,
    at integer not null,
    kind integer not null,
    detail text,
    primary key (message, at, kind)
) without rowid;

-- What did not happen to one message: of systems, queues, the worker, and what people have done.
create table occurrence (
    id integer primary key,
    at integer not null,
    code text not null,
    level integer not null,
    system text,
    queue text,
    line text not null,
    fields text
);
create index occurrence_at on occurrence (at);

-- What people search by beside the name, as words. A process instance is one word, without its dashes. A name that is not
-- as long as Camunda's ids may have words as well.
create view message_words as
select
    id,
    case when length(name) = 36 then null else name end as name,
    replace(process, '-', '') as process,
    business,
    title,
    message_id
from message;
create virtual table message_search using fts5 (
    name, process, business, title, message_id,
    content = 'message_words', content_rowid = 'id', detail = none, columnsize = 0
);
-- Eight portions are merged at a time instead of four: what has been indexed is written anew a third less often.
insert into message_search (message_search, rank) values ('automerge', 8);

-- Messages are indexed in large portions, up to this id; what an indexed one was found by must be told before it changes.
create table indexed (up_to integer not null);
insert into indexed values (0);
create trigger message_words_change before update of process, business, title, message_id on message
when old.id <= (select up_to from indexed) and (
    old.process is not new.process or old.business is not new.business or old.title is not new.title
    or old.message_id is not new.message_id
)
begin
    insert into message_search (message_search, rowid, name, process, business, title, message_id)
    select 'delete', * from message_words where id = old.id;
end;
create trigger message_words_changed after update of process, business, title, message_id on message
when old.id <= (select up_to from indexed) and (
    old.process is not new.process or old.business is not new.business or old.title is not new.title
    or old.message_id is not new.message_id
)
begin
    insert into message_search (rowid, name, process, business, title, message_id)
    select * from message_words where id = new.id;
end;
create trigger message_words_gone before delete on message when old.id <= (select up_to from indexed)
begin
    insert into message_search (message_search, rowid, name, process, business, title, message_id)
    select 'delete', * from message_words where id = old.id;
end;
