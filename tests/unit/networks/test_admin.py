"""The operator's pages of this room open, and change only what may be changed by hand."""

from __future__ import annotations

import pytest
from django.test import Client

from cloud.networks.models import Network, PortAddress, Subnet
from tests.unit.networks.test_addresses import boot

pytestmark = pytest.mark.urls("tests.unit.networks.urls")


def test_every_page_opens(admin_client: Client, net: Network) -> None:
    port = boot(net)[0]
    rows = {"network": net, "subnet": Subnet.objects.get(), "port": port, "portaddress": PortAddress.objects.get()}
    for model, row in rows.items():
        listed = admin_client.get(f"/admin/networks/{model}/?q=10.1")
        assert listed.status_code == 200, model
        assert admin_client.get(f"/admin/networks/{model}/").status_code == 200
        assert admin_client.get(f"/admin/networks/{model}/{row.pk}/change/").status_code == 200, model
    assert b"1 / 253" in admin_client.get("/admin/networks/subnet/").content
    assert b"10.1.0.2" in admin_client.get("/admin/networks/port/").content


def test_ports_are_not_made_or_removed_by_hand_and_a_network_in_use_stays(admin_client: Client, net: Network) -> None:
    port = boot(net)[0]
    assert admin_client.get("/admin/networks/port/add/").status_code == 403
    assert admin_client.post(f"/admin/networks/port/{port.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"/admin/networks/network/{net.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": str(net.pk), "post": "yes"}
    admin_client.post("/admin/networks/network/", chosen)
    assert Network.objects.filter(pk=net.pk).exists()


def test_an_unused_network_is_removed_by_hand_with_its_subnet(admin_client: Client, net: Network) -> None:
    admin_client.post(f"/admin/networks/network/{net.pk}/delete/", {"post": "yes"})
    assert (Network.objects.count(), Subnet.objects.count()) == (0, 0)
