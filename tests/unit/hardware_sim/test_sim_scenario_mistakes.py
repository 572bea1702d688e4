"""What clashes in a whole scenario is told with every other mistake, each where it stands."""

import pytest

from edge_agent.domain.errors import SettingsInvalid
from hardware_sim.scenario import load_scenario, parse_scenario

FILE = """\
title: A test
lanes:
  "1":
    devices:
      portal: {kind: rapiscan_vm250, links: [{kind: tcp}]}
      scale: {kind: mt_sics, links: [{kind: tcp}]}
    traffic: {count: 1}
"""
_AFTER = FILE.count("\n") + 1


def said(text: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        parse_scenario(text, "s.yaml")
    return str(caught.value)


def test_mistakes_of_fields_and_of_the_whole_are_told_at_once() -> None:
    text = said(
        FILE.replace("count: 1", "cuont: 1").replace("[{kind: tcp}]", "[{kind: tcp, port: 4001}]")
        + "faults:\n  - {target: portl, kind: silence}\n  - {target: portal, kind: stuck_motion}\n"
        "  - {target: portal, kind: silense, fro_s: 3}\n"
    )
    assert "s.yaml:6: lanes.1.devices.scale.links.0.port: port 4001 is portal's already\n" in text
    assert "s.yaml:7: lanes.1.traffic.cuont: no such setting\n  → did you mean count?" in text
    assert f"s.yaml:{_AFTER + 1}: faults.0.target: there is no portl\n  → did you mean portal?" in text
    assert (
        f"s.yaml:{_AFTER + 2}: faults.1.kind: stuck_motion cannot happen to portal: it needs a scale that"
        " says when it is in motion\n  → what can: background," in text
    )
    assert f"s.yaml:{_AFTER + 3}: faults.2.kind: there is no kind 'silense'\n  → did you mean silence?" in text
    assert "5 mistakes" in text
    assert "{'" not in text


def test_a_device_with_mistakes_of_its_own_is_still_a_target() -> None:
    text = said(FILE.replace("kind: mt_sics", "kind: mt_sisc") + "faults: [{target: scale, kind: stuck_motion}]\n")
    assert "s.yaml:6: lanes.1.devices.scale.kind: there is no kind 'mt_sisc'\n  → did you mean mt_sics?" in text
    assert "1 mistake to correct" in text


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("{kind: tcp, port: 4001}", "{kind: tcp, port: 4001}", True),
        ("{kind: tcp, port: 4001}", "{kind: rfc2217, port: 4001}", True),
        ("{kind: tcp, port: 4001}", "{kind: tcp, host: 0.0.0.0, port: 4001}", True),
        ("{kind: tcp, host: '::', port: 4001}", "{kind: tcp, port: 4001}", True),
        ("{kind: tcp, host: localhost, port: 4001}", "{kind: tcp, port: 4001}", True),
        ("{kind: tcp, host: 127.0.0.2, port: 4001}", "{kind: tcp, port: 4001}", False),
        ("{kind: tcp, port: 4001}", '{kind: tcp, port: "4001"}', True),
        ("{kind: tcp, port: 4001.0}", "{kind: tcp, port: 4001}", True),
        ("{kind: tcp, port: 4001}", "{kind: tcp, port: 4002}", False),
        ("{kind: tcp, port: 0}", "{kind: tcp, port: 0}", False),
    ],
)
def test_two_servers_on_one_port(first: str, second: str, clash: bool) -> None:
    text = FILE.replace("{kind: tcp}", first, 1).replace("{kind: tcp}", second)
    if not clash:
        parse_scenario(text, "s.yaml")
        return
    assert "s.yaml:6: lanes.1.devices.scale.links.0.port: port 4001 is portal's already" in said(text)


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ("      tags: {kind: llrp_reader, port: 4001}\n", "lanes.1.devices.tags.port"),
        ("      portal2: {kind: aspect_modbus, port: 4001}\n", "lanes.1.devices.portal2.port"),
        ("    cameras: {front: {view: plate, port: 4001}}\n", "lanes.1.cameras.front.port"),
    ],
)
def test_services_and_cameras_have_ports_too(more: str, where: str) -> None:
    text = FILE.replace("{kind: tcp}", "{kind: tcp, port: 4001}", 1).replace("    traffic", f"{more}    traffic")
    assert f"{where}: port 4001 is portal's already" in said(text) or f"port 4001 is {where.split('.')[3]}'s" in said(
        text
    )


def test_the_way_to_the_port_has_a_port_and_a_client_has_none() -> None:
    text = FILE.replace("{kind: tcp}", "{kind: tcp, port: 4001}", 1)
    client = "      x-ray: {kind: imaging_dicom, port: 4001}\n    traffic"
    parse_scenario(text.replace("    traffic", client), "s.yaml")
    assert "port.listen: port 4001 is portal's" in said(text + "port: {upstream: 'g:1', listen: '0.0.0.0:4001'}\n")


def test_paths_and_names_twice() -> None:
    text = said(
        FILE.replace("{kind: tcp}", "{kind: pty, path: a/../x.tty}", 1).replace(
            "{kind: tcp}", "{kind: pty, path: x.tty}"
        )
        + "  b:\n    devices: {scale: {kind: nci_scp01, links: [{kind: tcp}]}}\n    traffic: {count: 1}\n"
    )
    assert (
        "s.yaml:6: lanes.1.devices.scale.links.0.path: two pseudo-terminals have the path x.tty; the other is por"
        in text
    )
    assert f"s.yaml:{_AFTER + 1}: lanes.b.devices.scale: two devices or cameras are called scale" in text


def test_where_a_device_cannot_stand_and_a_lane_without_any() -> None:
    text = said(FILE.replace("mt_sics,", "mt_sics, at_m: 150,") + "  b:\n    traffic: {count: 1}\n")
    assert (
        "s.yaml:6: lanes.1.devices.scale.at_m: scale stands at 150 m, and trucks are in the lane from -14 to 6 m"
        in text
    )
    assert f"s.yaml:{_AFTER}: lanes.b: there is no device and no camera\n  → name at least one" in text


def test_faults_of_the_way_to_the_port() -> None:
    fault = "faults: [{target: port, kind: forget}]\n"
    assert "faults.0.target: there is no way to the port here\n  → say `port: {upstream:" in said(FILE + fault)
    text = said(FILE + fault + "port: {upstream: 'g:1'}\n")
    assert "faults.0.kind: `forget` needs a second gateway" in text
    parse_scenario(FILE + fault + "port: {upstream: 'g:1', forgets_to: 'g:2'}\n", "s.yaml")


@pytest.mark.parametrize(
    "text",
    ["- 1\n", "hello\n", "lanes: 3\n", "lanes: {1: 2}\n", "port: {listen: x}\n",
     "lanes: {1: {devices: [1], cameras: {a: 1}}}\nfaults: {a: 1}\n",
     "lanes: {1: {devices: {a: {links: 3}, b: {links: [1]}}}}\nfaults: [1, {target: 1}, {target: a, kind: 2}]\n",
     "lanes: {1: {devices: {a: {kind: [1], port: x, host: 1}}}}\nport: {listen: 1}\n", "port: 1\n"],
)  # fmt: skip
def test_values_of_any_shape_are_judged(text: str) -> None:
    assert "to correct in s.yaml" in said(text)


def test_an_empty_scenario_names_its_page(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "s.yaml"
    path.write_text("# nothing yet\n")
    with pytest.raises(
        SettingsInvalid, match=r"s\.yaml: the file is empty\n  → start from the example in docs/simulator\.md"
    ):
        load_scenario(str(path))


def test_an_address_with_a_slip() -> None:
    text = FILE.replace("{kind: tcp}", "{kind: tcp, host: 127.0..1}", 1)
    assert "links.0.host: '127.0..1' is neither an address nor a name" in said(text)
    assert "listen: '127.0..1' is neither" in said(f"{FILE}port: {{upstream: 'a:1', listen: '127.0..1:0'}}\n")
