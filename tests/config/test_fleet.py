"""A folder of configurations: which files count, what the process has once, and who may not run beside whom."""

from pathlib import Path

import pytest

from bridge.config import load
from bridge.config.fleet import Shard, conflicts, load_fleet, load_tenant, named, tenant_files
from bridge.errors import ConfigError
from bridge.log import LogLevel

TENANT = """\
pbx: {{name: {name}, url: "https://{host}", client_id: {client}, client_secret: {secret}}}
mqtt: {{host: {broker}, base_topic: {base}}}
"""


def put(
    folder: Path,
    stem: str,
    more: str = "",
    *,
    name: str | None = None,
    host: str | None = None,
    client: str = "lights",
    secret: str = "a-secret",
    broker: str = "broker.example.com",
    base: str | None = None,
) -> None:
    values = {"name": name or stem, "host": host or f"{stem}.example.com", "base": base or f"pbx/{stem}"}
    text = TENANT.format(**values, client=client, secret=secret, broker=broker) + more
    (folder / f"{stem}.yaml").write_text(text)


def problems(folder: Path, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_fleet(folder, environ or {})
    return [str(each) for each in caught.value.problems]


def test_files_of_the_process_and_hidden_ones_are_no_tenants(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml", "a.secrets.yaml", "secrets.yaml", "fleet.yaml", ".c.yaml", "d.yml", "e.yaml.bak"):
        (tmp_path / name).write_text("")
    assert [each.name for each in tenant_files(tmp_path)] == ["a.yaml", "b.yaml"]


def test_secrets_come_from_the_own_file_first_and_then_from_the_shared_one(tmp_path: Path) -> None:
    put(tmp_path, "a", secret="!secret key")
    put(tmp_path, "b", secret="!secret key")
    (tmp_path / "secrets.yaml").write_text("key: shared\nother: x\n")
    (tmp_path / "a.secrets.yaml").write_text("key: own\n")
    found = load_fleet(tmp_path, {}).tenants
    assert (found["a"].pbx.client_secret, found["b"].pbx.client_secret) == ("own", "shared")
    assert load_fleet(tmp_path, {}).secrets() == ("own", "own", "shared", "shared")
    (tmp_path / "secrets.yaml").unlink()
    broken = load_fleet(tmp_path, {}).broken
    assert "there is no file" in str(broken["b"][0])


def test_a_name_is_required(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("pbx: {url: https://a, client_id: x, client_secret: y}\n")
    assert problems(tmp_path) == [
        f"{tmp_path}/a.yaml:1 pbx.name: is required in a fleet: add name, which no other PBX there has"
    ]


def test_a_wrong_file_leaves_the_others(tmp_path: Path) -> None:
    put(tmp_path, "good")
    (tmp_path / "wrong.yaml").write_text("pbx: [\n")
    found = load_fleet(tmp_path, {})
    assert (list(found.tenants), list(found.broken)) == (["good"], ["wrong"])


def test_a_folder_without_configurations_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path) == [f"{tmp_path}: holds no configuration: add one file NAME.yaml for each PBX"]


def test_a_shard_without_a_file_is_empty(tmp_path: Path) -> None:
    put(tmp_path, "s0")
    assert list(load_fleet(tmp_path, {}, Shard(1, 2)).tenants) == ["s0"]
    assert load_fleet(tmp_path, {}, Shard(2, 2)).tenants == {}


def test_web_and_log_are_those_of_the_process(tmp_path: Path) -> None:
    put(tmp_path, "a", "web: {enabled: true}\nlog: {level: debug}\n")
    (tmp_path / "fleet.yaml").write_text("web: {enabled: true, port: 9999}\nlog: {level: warning}\n")
    found = load_fleet(tmp_path, {"THREECX2MQTT_WEB__PORT": "9998", "THREECX2MQTT_MQTT__PORT": "1884"})
    assert found.process is not None
    assert (found.process.web.port, found.process.log.level) == (9998, LogLevel.WARNING)
    tenant = found.tenants["a"]
    assert (tenant.web.enabled, tenant.mqtt.port) == (False, 1884)
    assert any("web: is ignored: in a fleet it belongs into fleet.yaml" in each for each in tenant.warnings)


def test_a_wrong_file_of_the_process_costs_no_tenant(tmp_path: Path) -> None:
    put(tmp_path, "a")
    (tmp_path / "fleet.yaml").write_text("web: {port: x}\nmqtt: {port: 1}\n")
    found = load_fleet(tmp_path, {})
    assert (found.process, list(found.tenants)) == (None, ["a"])
    assert [str(each) for each in found.problems] == [
        f"{tmp_path}/fleet.yaml:2 mqtt: belongs into the file of a PBX: fleet.yaml has web: and log: only",
        f"{tmp_path}/fleet.yaml:1 web.port: 'x' is not a whole number",
    ]


@pytest.mark.parametrize("name", ["PBX__NAME", "PBX__CLIENT_SECRET_FILE", "MQTT__CLIENT_ID", "MQTT__BASE_TOPIC"])
def test_variables_that_cannot_hold_for_all_are_refused(tmp_path: Path, name: str) -> None:
    put(tmp_path, "a")
    text = "cannot hold for all PBXs of a fleet: write it into the file of each"
    assert problems(tmp_path, {f"THREECX2MQTT_{name}": "x"}) == [f"THREECX2MQTT_{name}: {text}"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a"}, "pbx.name 'a' is that of a.yaml too: a.yaml runs, b.yaml does not"),
        ({"base": "pbx/a"}, "mqtt.base_topic 'pbx/a' is that of a.yaml too: a.yaml runs, b.yaml does not"),
        ({"host": "a.example.com"}, "pbx.client_id 'lights' is that of a.yaml too: a.yaml runs, b.yaml does not"),
        ({"base": "pbx/a", "broker": "other"}, None),
        ({"host": "a.example.com", "client": "other"}, None),
    ],
)
def test_duplicates_are_refused_and_both_are_named(tmp_path: Path, change: dict[str, str], message: str | None) -> None:
    put(tmp_path, "a")
    put(tmp_path, "b", **change)
    expected = [] if message is None else [("b", message)]
    assert list(conflicts(load_fleet(tmp_path, {}).tenants, {})) == expected


def test_of_duplicates_the_one_that_runs_goes_first(tmp_path: Path) -> None:
    put(tmp_path, "b")
    running = load_fleet(tmp_path, {}).tenants
    put(tmp_path, "a", base="pbx/b")
    (refused,) = conflicts(load_fleet(tmp_path, {}).tenants, running)
    assert refused[0] == "a"


def test_one_is_named_by_its_pbx_or_its_file(tmp_path: Path) -> None:
    put(tmp_path, "a", name="berlin")
    put(tmp_path, "b")
    assert [each.stem for each in named(tmp_path, "berlin", {})] == ["a"]
    assert [each.stem for each in named(tmp_path, "b", {})] == ["b"]
    assert [each.stem for each in named(tmp_path, None, {})] == ["a", "b"]


@pytest.mark.parametrize("text", ["", "2", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"])
def test_a_shard_is_written_as_number_of_all(text: str) -> None:
    with pytest.raises(ValueError, match="write 2/5"):
        Shard.parse(text)


def test_each_file_belongs_to_one_shard() -> None:
    shards = [Shard(number, 5) for number in range(1, 6)]
    names = [f"site-{number}" for number in range(200)]
    held = [[name for name in names if shard.holds(name)] for shard in shards]
    assert sorted(sum(held, [])) == sorted(names)  # noqa: RUF017
    assert min(map(len, held)) > 20
    assert Shard(2, 2).holds("s3")  # 1 + 0x…  % 2 of sha256("s3")


def test_a_tenant_alone_reads_as_any_other_file(tmp_path: Path) -> None:
    put(tmp_path, "a", "web: {enabled: true}\n")
    assert load(tmp_path / "a.yaml", {}).web.enabled
    assert not load_tenant(tmp_path / "a.yaml", {}).web.enabled
