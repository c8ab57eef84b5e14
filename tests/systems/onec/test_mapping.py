"""The mapping file and the settings: what is wrong is told at the start, in both languages, with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import load_settings
from consumers.onec.config import OneCSettings
from consumers.onec.literals import as_guid, object_ref, query_string, string
from consumers.onec.mapping import FieldSpec, Finish, ODataTopic, ServiceTopic
from consumers.onec.mapping_file import SHIPPED, MappingProblem, read_mapping
from consumers.onec.metadata import parse_metadata
from core.errors import ConfigurationError, OutageError
from core.texts import Text
from sandbox.onec import ENTITIES, OneCSandbox
from sandbox.onec.filters import parse
from sandbox.onec.schema import metadata_xml
from settings.errors import SettingsError
from tests.support import documents
from tests.systems.onec.support import FIRM, ORDER, PROCESS, TASK, handler_for, mapping_file

URL = {"ONEC_URL": "https://1c.example.ru/base", "ONEC_USERNAME": "Интегратор", "ONEC_PASSWORD": "секрет-1234"}


def problem_of(folder: Path, text: str) -> tuple[str, str]:
    with pytest.raises(MappingProblem) as caught:
        read_mapping(mapping_file(folder, text))
    return caught.value.text


def topic(body: str, *, kind: str = "document", entity: str = ORDER, name: str = "t") -> str:
    return f'[topics.{name}]\nkind = "{kind}"\nentity = "{entity}"\n{body}\n'


# -- the shipped file ------------------------------------------------------------------------------------------------


def test_the_shipped_mapping_serves_the_topics_of_the_contract() -> None:
    topics = read_mapping(SHIPPED).topics
    assert set(topics) == {
        *("1c_create_document", "1c_update_document", "1c_create_counterparty", "1c_create_task", "1c_sync_data"),
    }
    tracked = {name: isinstance(each, ODataTopic) and each.is_tracked for name, each in topics.items()}
    assert {name for name, is_tracked in tracked.items() if is_tracked} == {"1c_create_document", "1c_create_task"}


def test_the_section_that_is_commented_out_is_a_section(tmp_path: Path) -> None:
    """What the shipped file offers instead works when the marks are taken away."""
    text = SHIPPED.read_text("utf-8")
    begin, end = text.index("# [topics.1c_create_task]"), text.index("# An HTTP service of your own")
    section = re.sub(r"^# ?", "", text[begin:end], flags=re.M)
    found = read_mapping(mapping_file(tmp_path, section)).topics["1c_create_task"]
    assert isinstance(found, ODataTopic)
    assert (found.kind, found.entity, found.finishing.when) == ("task", TASK, "executed")


@pytest.mark.parametrize(
    ("kind", "entity", "when"),
    [
        ("document", ORDER, "posted"),
        ("catalog", FIRM, "created"),
        ("task", TASK, "executed"),
        ("business_process", PROCESS, "completed"),
    ],
)
def test_each_kind_is_finished_as_such_objects_are(tmp_path: Path, kind: str, entity: str, when: str) -> None:
    found = read_mapping(mapping_file(tmp_path, topic("", kind=kind, entity=entity))).topics["t"]
    assert isinstance(found, ODataTopic)
    assert found.finishing.when == when


def test_a_service_has_an_address(tmp_path: Path) -> None:
    text = '[topics.s]\nmode = "http_service"\nroot = "api"\npath = "/v1/sync/"\n'
    found = read_mapping(mapping_file(tmp_path, text)).topics["s"]
    assert isinstance(found, ServiceTopic)
    assert found.address == "api/v1/sync"


# -- mistakes --------------------------------------------------------------------------------------------------------

MISTAKES: tuple[tuple[str, str, str], ...] = (
    ("topics = 5", "topics", "topics"),
    ("", "topics: is not set", "topics: не задано"),
    ("[topics]", "too few", "слишком мало"),
    ("[topics.t", "is not TOML", "в кавычках"),
    ('[topics.t]\nИНН = "x"', "in quotes", "в кавычках"),
    (topic("", kind="documnt"), "t.kind: is not one of the choices: 'document'", "нет среди допустимых"),
    (topic("", entity="Заказ"), "'Заказ' is not the name of an object", "не имя объекта"),
    (topic("", entity="Catalog_X"), "begins with Document_", "начинается с Document_"),
    (topic('action = "Start"'), "document has no action Start", "нет действия Start"),
    (topic('action = "Post"'), "posts it at once", "проводит сразу"),
    (topic('operation = "update"\nfinish = { when = "posted" }'), "finished at once", "завершено сразу"),
    (topic('finish = { when = "executed" }'), "document is never executed", "не бывает executed"),
    (topic('finish = { when = "status" }'), "needs attribute and done", "нужны attribute и done"),
    (topic('finish = { when = "posted", failed = ["x"] }'), "needs attribute and done", "лишние"),
    (topic("mood = 5"), "t.mood: is not a known key", "неизвестный ключ"),
    (topic('[topics.t.fields]\nPosted = "x"'), "cannot be set", "задать нельзя"),
    (topic("[topics.t.fields]\nNumber = {}"), "t.fields.Number: needs one of from", "нужно одно из from"),
    (topic('[topics.t.fields]\nNumber = { from = "a", constant = 1 }'), "needs one of from", "нужно одно из"),
    (topic('[topics.t.fields]\nNumber = { from = "a", lookup = "Code" }'), "lookup needs type", "нужен type"),
    (topic('[topics.t.fields]\nX = { from = "a", type = "Edm.String", lookup = "Code" }'), "needs type, an", "объект"),
    (
        topic('[topics.t.fields]\nX = { from = "a", type = "String" }'),
        "'String' is not the name of a type",
        "не имя типа",
    ),
    (topic('target = "ref"'), "what is created has no target", "у создаваемого объекта нет target"),
    ('[topics.s]\nmode = "http_service"\nroot = "a"\nfields = { x = { from = "x", by = "y" } }', "cut, by", "cut, by"),
    (topic("[topics.t.fields]\nNumber = []"), "too few entries", "слишком мало"),
    (
        '[topics.s]\nmode = "http_service"\nroot = "a"\nfields = { x = { from = "x", cut = true } }',
        "no type",
        "нет type",
    ),
    ('[topics.s]\nmode = "soap"', "soap", "soap"),
    ('[topics.s]\nmode = "http_service"\nroot = "a/b"', "s.root", "s.root"),
    (
        topic('finish = { when = "status", attribute = "Статус", done = ["x"] }') + topic("", name="u"),
        f"u: another topic finishes {ORDER} in another way",
        "завершает",
    ),
)


@pytest.mark.parametrize(("text", "english", "russian"), MISTAKES)
def test_a_mistake_is_told_with_its_place_in_both_languages(
    tmp_path: Path, text: str, english: str, russian: str
) -> None:
    told = problem_of(tmp_path, text)
    assert english in told[0]
    assert russian in told[1]


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    told = problem_of(tmp_path, topic("", kind="x", name="a") + topic("", entity="y", name="b"))
    assert "a.kind" in told[0]
    assert "b.entity" in told[0]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00", None])
def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mapping.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MappingProblem):
        read_mapping(path)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_read_or_explained(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    problem = None
    try:
        read_mapping(path)
    except MappingProblem as error:
        problem = error.text
    assert problem is None or all(problem)


# -- the settings ----------------------------------------------------------------------------------------------------


def mistakes(environ: dict[str, str]) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, None, [OneCSettings])
    return {Text.of(each.variable).en: each.render("ru") for each in caught.value.mistakes}


def test_a_mistake_in_the_mapping_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    path = mapping_file(tmp_path, topic("", kind="x"))
    [told] = mistakes({**URL, "ONEC_MAPPING_FILE": str(path)}).values()
    assert "t.kind" in told
    assert "README.ru.md" in told
    assert set(mistakes({**URL, "ONEC_MAPPING_FILE": str(tmp_path / "none.toml")})) == {"ONEC_MAPPING_FILE"}


@pytest.mark.parametrize("written", ["", "/", "/odata/standard.odata", "/odata/standard.odata/"])
def test_the_address_is_taken_as_people_copy_it(written: str) -> None:
    settings = load_settings({**URL, "ONEC_URL": f"https://1c.example.ru/base{written}"}, None, [OneCSettings])
    assert settings.for_system(OneCSettings).url == "https://1c.example.ru/base"


def test_what_is_missing_or_wrong_is_told() -> None:
    assert set(mistakes({"ONEC_URL": "1c.example.ru"})) == {"ONEC_URL"}
    assert set(mistakes({"ONEC_URL": URL["ONEC_URL"]})) == {"ONEC_USERNAME"}
    assert "uuidgen" in mistakes({**URL, "ONEC_NAMESPACE": "x"})["ONEC_NAMESPACE"]
    assert set(mistakes({**URL, "ONEC_KEYS_PER_QUERY": "101"})) == {"ONEC_KEYS_PER_QUERY"}


# -- the README ------------------------------------------------------------------------------------------------------

READMES = ("consumers/onec/README.md", "consumers/onec/README.ru.md")


@pytest.mark.parametrize("name", READMES)
def test_the_readmes_example_is_a_mapping_and_every_key_is_explained(tmp_path: Path, name: str) -> None:
    example = documents.block_with(name, "toml", "[topics")
    assert set(read_mapping(mapping_file(tmp_path, example)).topics) == {"1c_create_task"}
    explained = set(documents.code_spans(documents.prose(name)))
    for part in (ODataTopic, ServiceTopic, FieldSpec, Finish):
        assert {info.alias or field for field, info in part.model_fields.items()} - explained == set()
    assert set(read_mapping(SHIPPED).topics) - explained == set()


def test_both_readmes_name_the_same_things() -> None:
    english, russian = (set(documents.code_spans(documents.prose(name))) for name in READMES)
    assert english ^ russian == set()
    assert documents.blocks(READMES[0]) == documents.blocks(READMES[1])


# -- $metadata -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_metadata_keeps_the_attributes_of_what_is_wanted_and_the_names_of_all(mark: bytes) -> None:
    metadata = parse_metadata(mark + metadata_xml(ENTITIES), {ORDER})
    assert {ORDER, FIRM, TASK, PROCESS} <= metadata.entities
    rows = {f"{ORDER}_{name}_RowType" for name in ("Товары", "ДополнительныеРеквизиты")}
    assert set(metadata.types) == {ORDER, *rows}
    order = metadata.entity(ORDER)
    assert order.properties["Number"].max_length == 11
    assert metadata.enumerations["ВажностьЗадачи"] == ("Высокая", "Обычная", "Низкая")
    goods = metadata.row_type(order.properties["Товары"])
    assert goods is not None
    assert "Количество" in goods.properties
    with pytest.raises(ConfigurationError, match=r"near it: .*Document_ЗаказКлиента"):
        metadata.entity("Document_ЗаказПокупателя")


@pytest.mark.parametrize("body", [b"", b"<html><body>log in</body></html>", b"{}", b"<!DOCTYPE x><Edmx/>", b"<a"])
def test_what_is_no_metadata_is_an_outage_and_not_an_empty_infobase(body: bytes) -> None:
    with pytest.raises(OutageError):
        parse_metadata(body, {ORDER})


# -- literals --------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))))
def test_a_text_in_a_filter_is_what_it_was(text: str) -> None:
    entity = next(each for each in ENTITIES if each.name == FIRM)
    found = parse(f"Description eq {string(text)}", entity)
    assert found.test({"Description": text})
    assert not found.test({"Description": f"{text}!"})


def test_a_query_string_has_no_plus_and_no_space() -> None:
    written = query_string({"$filter": "ИНН eq 'a+b c&d#e'"})
    assert written.startswith("?$format=json&$filter=%D0%98%D0%9D%D0%9D%20eq%20'a%2Bb%20c%26d%23e'")


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ("Document_Заказ/0AD5415A-0000-4000-8000-000000000001", "Document_Заказ"),
        ("Document_Заказ/0ad5415a", None),
        ("Заказ/0ad5415a-0000-4000-8000-000000000001", None),
        ("Document_/0ad5415a-0000-4000-8000-000000000001", None),
        ("Document_A(1)/0ad5415a-0000-4000-8000-000000000001", None),
        ("0ad5415a-0000-4000-8000-000000000001", None),
        ("", None),
        (None, None),
    ],
)
def test_an_object_is_told_by_its_kind_and_guid(text: str | None, entity: str | None) -> None:
    found = object_ref(text)
    assert (found and found.entity) == entity
    if found is not None:
        assert object_ref(str(found)) == found
        assert as_guid(found.key) == found.key.lower()


# -- held against what the infobase has -------------------------------------------------------------------------------


def test_the_shipped_mapping_fits_the_sandbox() -> None:
    with OneCSandbox() as base:
        assert list(handler_for(base).inspect()) == []


def test_every_name_that_the_infobase_does_not_have_is_told_with_its_topic(tmp_path: Path) -> None:
    text = """
[topics.good]
kind = "catalog"
entity = "Catalog_Контрагенты"
fields = { "ИНН" = "inn" }

[topics.no_attribute]
kind = "catalog"
entity = "Catalog_Контрагенты"
fields = { "ИННН" = "inn" }

[topics.no_entity]
kind = "document"
entity = "Document_Нет"

[topics.no_finish]
kind = "document"
entity = "Document_ЗаказКлиента"
finish = { when = "status", attribute = "Статус1", done = ["x"] }
"""
    with OneCSandbox() as base:
        told = [each.en for each in handler_for(base, mapping_file=mapping_file(tmp_path, text)).inspect()]
    assert len(told) == 3
    assert "topic no_attribute" in told[0]
    assert "ИНН" in told[0], "what may have been meant"
    assert "topic no_entity" in told[1]
    assert "topic no_finish" in told[2]
