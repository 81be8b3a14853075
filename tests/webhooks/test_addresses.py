"""Which addresses may be webhooks, and which may not."""

import pytest

from jobs.lib import egress, webhook_urls
from jobs.lib.errors import InvalidInput

GOOD = ["https://example.com/hook", "http://example.com:8080/", "https://8.8.8.8/x?y=1"]
BAD = [
    *("ftp://example.com/", "javascript:alert(1)", "example.com", "", "http://", "//x"),
    *("http://127.0.0.1/", "http://localhost/", "http://localhost./", "http://[::1]/"),
    *("http://10.1.2.3/", "http://169.254.169.254/", "http://0x7f.1/", "http://127.1/"),
    *("http://u:p@example.com/", "http://good\\@127.0.0.1/", "http://example.com:22/"),
    *("http://example.com:0/", "http://example.com:99999/", "http://a b.com/"),
    *("http://example.com/\n", "http://example.com/\x00", "http://testserver/hook"),
]


@pytest.fixture(autouse=True)
def _closed(settings):
    settings.JOBS_EGRESS_ALLOW = []


@pytest.mark.parametrize("url", GOOD)
def test_an_address_in_the_open_internet_may_be_a_webhook(url):
    webhook_urls.check_url(url, "/url")


@pytest.mark.parametrize("url", BAD)
def test_others_are_refused_with_the_field(url):
    with pytest.raises(InvalidInput) as caught:
        webhook_urls.check_url(url, "/url")
    assert caught.value.problems[0].pointer == "/url"


def test_the_operator_may_open_a_network_with_any_port(settings):
    settings.JOBS_EGRESS_ALLOW = ["192.168.1.0/24"]
    webhook_urls.check_url("http://192.168.1.7:5678/hook", "/url")
    for url in ("http://192.168.2.7:5678/", "http://192.168.2.7/", "http://10.0.0.1/"):
        with pytest.raises(InvalidInput):
            webhook_urls.check_url(url, "/url")


def test_link_local_stays_closed_whatever_is_opened(settings):
    settings.JOBS_EGRESS_ALLOW = ["169.254.0.0/16", "0.0.0.0/0"]
    for host in ("169.254.169.254", "[::ffff:169.254.169.254]"):
        with pytest.raises(egress.EgressRefused):
            egress.public_address(f"http://{host}/latest/meta-data")
