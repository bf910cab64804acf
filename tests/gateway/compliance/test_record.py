"""The record of processing says what the settings and the state are, and what is missing."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from gateway.compliance.markdown import as_markdown
from gateway.compliance.measures import BUILT_IN
from gateway.compliance.options import ASKED_FOR, ComplianceOptions
from gateway.compliance.record import Record, make_record
from gateway.config import Home
from gateway.services import Services
from policies.bundles import Bundle
from tests.gateway.conftest import World, open_services
from tests.gateway.gated_model import GatedModel

ROOT = Path(__file__).parents[3]


def record_of(world: World, settings: str = "") -> Record:
    """The record of the installation under other settings."""
    home = world.services.home
    home.config_file.write_text(f"[audit]\ndeadline_seconds = 60\n{settings}", encoding="utf-8")
    with open_services(home.folder, GatedModel()) as services:
        return make_record(services)


def test_without_settings_it_says_what_is_missing(world: World) -> None:
    record = record_of(world)
    assert record.to_be_filled_in == tuple(f"compliance.{name}" for name in ASKED_FOR)
    assert "**To be filled in**" in as_markdown(record)


ADDED = {
    'compliance]\ncontroller = "Harbour Ltd, Bergen"': "Harbour Ltd, Bergen",
    'compliance]\njoint_controller = "Harbour AS"': "joint controller: Harbour AS",
    'compliance]\nrepresentative = "Harbour EU, Oslo"': "Harbour EU, Oslo",
    'compliance]\ndata_protection_officer = "Ida, ida@harbour.example"': "Ida, ida@harbour.example",
    'compliance]\npurposes = ["answering questions of staff"]': "answering questions of staff",
    'compliance]\nlegal_basis = "article 6(1)(f)"': "article 6(1)(f)",
    'compliance]\ndata_subjects = ["customers"]': "customers",
    'compliance]\nrecipients = ["the works council"]': "the works council",
    'compliance]\ntransfers = ["none"]': "third country: none",
    'compliance]\nmeasures = ["training every year"]': "training every year",
    'compliance]\nbackups_kept = "thirty days"': "backups: thirty days",
    'oidc]\nissuer = "https://id.harbour.example"\nclient_id = "m"': "https://id.harbour.example",
    'ldap]\nurls = ["ldaps://directory.harbour.example"]': "ldaps://directory.harbour.example",
    'models]\nmirror = "https://models.harbour.example"': "https://models.harbour.example",
    '[models.upstreams]]\nname = "cloud"\nmodel = "m"\nurls = ["https://llm.example/v1"]': "cloud, on another",
    '[models.upstreams]]\nname = "near"\nmodel = "m"\nurls = ["http://[::1]/v1"]\nremote = false': "near, by a server",
    'redaction]\nalso = ["AGE"]': "| AGE |",
    "answers]\nremembered_seconds = 17": "17 seconds",
    "audit.retention]\nquestions = 400": "audit trail, questions: 400 days",
    "audit.retention]\naccess = 401": "audit trail, access: 401 days",
    "audit.retention]\nadministration = 402": "audit trail, administration: 402 days",
    '[audit.exports]]\nname = "siem"\nkind = "http"\nurl = "https://siem.harbour.example/x"': "export siem: entries",
    '[audit.copies]]\nname = "vault"\nkind = "http"\nurl = "https://vault.harbour.example/x"': "copied to vault",
    "sign_in]\nsession_hours = 3": "3 hours",
}


@pytest.mark.parametrize("settings", ADDED)
def test_what_is_set_is_in_the_record(world: World, settings: str) -> None:
    wanted = ADDED[settings]
    assert wanted not in re.sub(r"\\", "", as_markdown(record_of(world)))
    assert wanted in re.sub(r"\\", "", as_markdown(record_of(world, f"[{settings}\n")))


def test_how_long_texts_are_kept_is_in_the_record(world: World) -> None:
    home = world.services.home
    for days, wanted in ((7, "7 days, sealed, for investigations"), (0, "not kept")):
        home.config_file.write_text(f"[audit]\ntexts_kept_days = {days}\n", encoding="utf-8")
        with open_services(home.folder, GatedModel()) as services:
            said = {one.about: one.what for one in make_record(services).retention}
        assert said["texts of questions and answers"] == wanted


def test_every_setting_of_the_organisation_is_tried() -> None:
    tried = " ".join(ADDED)
    fields = {field.name for field in msgspec.structs.fields(ComplianceOptions)}
    assert {name for name in fields if f"\n{name} = " not in tried} == set()


def test_the_state_is_in_the_record(world: World) -> None:
    record = record_of(world)
    said = {one.about: one.what for one in (*record.recipients, *record.data_subjects)}
    assert said["users"].startswith("5 people")
    assert said["role employee"] == "2 active users"
    assert said["groups"].startswith("2 groups")
    assert said["source company"] == "3 documents, read with the connector folder"
    kinds = {kind.type: kind for kind in record.personal_data}
    assert (kinds["PERSON"].ordinary_readers_see, kinds["PERSON"].rules) == (True, ("reader-sees-contacts",))
    assert (kinds["IBAN_CODE"].ordinary_readers_see, kinds["IBAN_CODE"].rules) == (False, ())


SHOWN = """
@id("everybody-sees-accounts")
@reason("They are on every letter.")
permit (principal, action == Action::"personal-data:reveal", resource)
when { context.entity_type == EntityType::"IBAN_CODE" };
"""


def test_a_rule_that_shows_more_is_in_the_record(world: World) -> None:
    before = record_of(world)
    world.services.bundles.load(Bundle.of({"site.cedar": SHOWN}), by="tests")
    after = record_of(world)
    assert "everybody-sees-accounts" not in {rule.about for rule in before.revealing_rules}
    assert "everybody-sees-accounts" in {rule.about for rule in after.revealing_rules}
    (iban,) = (kind for kind in after.personal_data if kind.type == "IBAN_CODE")
    assert iban.ordinary_readers_see


def test_names_of_others_are_no_markup(world: World) -> None:
    text = as_markdown(record_of(world, '[compliance]\nmeasures = ["<script>\\n# Head [x](http://evil.example)"]\n'))
    line = next(line for line in text.splitlines() if "script" in line)
    assert line == r"* organisation: \<script\> \# Head \[x\](http://evil.example)"


def test_no_user_is_named(world: World) -> None:
    text = json.dumps(msgspec.to_builtins(record_of(world)))
    assert [name for name in world.keys if name in text] == []


def test_measures_are_those_of_the_page_and_their_tests_exist() -> None:
    page = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")
    for measure in BUILT_IN:
        assert f"`{measure.test}`" in page
        path, name = measure.test.split("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_a_record_needs_no_model(world: World) -> None:
    with Services(Home(world.services.home.folder)) as services:
        assert make_record(services).version
        assert "embedder" not in vars(services)
