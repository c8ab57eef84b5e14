-- Times are microseconds since 1970 in UTC.
create table message (
    id bigint generated always as identity primary key,
    name text not null,
    process text,
    business text,
    topic text,
    system text,
    queue text,
    title text,
    external text,
    message_id text,
    state smallint,
    attempts integer,
    first bigint not null,
    last bigint not null,
    due bigint,
    code text,
    outcome text,
    reason text,
    reason_ru text,
    error_group text,
    -- What people search by. A task id and a process instance are one word each, without their dashes; other signs part
    -- words, which PostgreSQL's own parser would take for parts of addresses and the like.
    words tsvector generated always as (
        to_tsvector(
            'simple',
            regexp_replace(
                replace(name, '-', '') || ' ' || coalesce(replace(process, '-', ''), '') || ' ' || coalesce(business, '')
                || ' ' || coalesce(title, '') || ' ' || coalesce(message_id, ''),
                '[^[:alnum:]]+', ' ', 'g'
            )
        )
    ) stored
);
create unique index message_name on message (name);
create index message_external on message (external) where external is not null;
-- Lists go by the time at which a message came.
create index message_first on message (first);
create index message_system on message (system, first);
create index message_topic on message (topic, first);
create index message_unfinished on message (state, first, system) where state <> 6;
create index message_error_group on message (error_group, id) where error_group is not null;
create index message_words on message using gin (words);

create table event (
    message bigint not null,
    at bigint not null,
    kind smallint not null,
    detail text,
    primary key (message, at, kind)
);

-- What did not happen to one message: of systems, queues, the worker, and what people have done.
create table occurrence (
    id bigint generated always as identity primary key,
    at bigint not null,
    code text not null,
    level smallint not null,
    system text,
    queue text,
    line text not null,
    fields text
);
create index occurrence_at on occurrence (at);
