"""The documentation of the metrics, and the dashboard, name the metrics that the server has."""

import itertools
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client")

from pronghorn.metrics import layout, page
from pronghorn.metrics.collector import PageCollector
from pronghorn.supervisor.tally import Tally

DOCS = Path(__file__).resolve().parents[2] / "docs"
SECTION = (DOCS / "observability.md").read_text(encoding="utf-8").partition("\n## Metrics\n")[2].partition("\n## ")[0]
DASHBOARD = json.loads((DOCS / "assets" / "grafana.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

# Labels that Prometheus adds to every sample.
OF_TARGET = {"job", "instance", "namespace", "pod"}


class Server:
    """A server with one worker."""

    def __init__(self):
        self.pages = page.Pages()
        self.pages.add(1, page.allocate())
        self._tally = Tally()

    def phase(self):
        return "ready"

    def workers(self):
        return [(1, "serving", 1.0)]

    def worker_events(self):
        return self._tally.starts, self._tally.ends


METRICS = list(PageCollector(Server()).collect())
SAMPLES = {sample.name: sample.labels for metric in METRICS for sample in metric.samples}


def table(first):
    """The rows of the table of the section whose first column has this title."""
    rows = SECTION.partition(f"\n| {first} | ")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in rows]


def named(text):
    return re.findall(r"`([^`]+)`", text)


def used(expression):
    """The metrics in an expression of PromQL, each with the labels that it matches; and the labels to group by."""
    assert expression.count("(") == expression.count(")")
    grouping = r"\bby \(([^)]*)\)"
    groups = {label.strip() for found in re.findall(grouping, expression) for label in found.split(",")}
    rest = re.sub(r"\[[^]]*\]", "", re.sub(grouping, "", expression))
    selectors = re.findall(r"([a-z_]\w*)(?:\{([^}]*)\})?(?=[^\w(]|$)", re.sub(r'"[^"]*"', '""', rest))
    aggregations = {"sum", "count", "max"}
    return {
        name: set(re.findall(r"(\w+)\s*[=!]", matchers)) for name, matchers in selectors if name not in aggregations
    }, groups


def check_expression(expression):
    metrics, groups = used(expression)
    assert metrics, expression
    for name, labels in metrics.items():
        assert name in SAMPLES, f"{expression}: there is no {name}"
        assert labels <= SAMPLES[name].keys() | OF_TARGET, f"{expression}: {name} has not all of these labels"
    having = set().union(*(SAMPLES[name] for name in metrics))
    assert groups <= having | OF_TARGET, f"{expression} groups by a label that is not there"


def test_table_has_every_metric():
    told = {named(name)[0]: (kind, named(labels)) for name, kind, labels, _ in table("metric")}
    made = {}
    for metric in METRICS:
        # An information is a gauge in the text of Prometheus.
        kind = "gauge" if metric.type == "info" else metric.type
        suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
        labels = dict.fromkeys(label for sample in metric.samples for label in sample.labels if label != "le")
        made[metric.name + suffix] = (kind, list(labels))
    assert told == made


def test_table_has_every_value_of_a_label():
    told = {}
    for labels, values in table("label"):
        told |= dict(zip(named(labels), map(named, values.split("; ")), strict=True))
    values = {label: list(each) for family in layout.FAMILIES for label, each in family.labels.items()}
    assert told.pop("status") == ["1xx", "5xx", "none"]  # the first and the last of a range
    assert values.pop("status") == ["none", "1xx", "2xx", "3xx", "4xx", "5xx"]
    values["cause"] = list(Server().worker_events()[1])
    assert told.pop("pid") == []
    assert told.pop("worker") == ["--workers"]
    assert {label: [each for each in told[label] if not each.startswith("--")] for label in told} == values


def test_buckets_are_those_of_the_page():
    told = SECTION.partition("Their buckets end at ")[2].partition(".\n")[0]
    milliseconds, seconds = (
        [float(number) for number in re.findall(r"[\d.]+", part)] for part in re.split(r" ms,\s+and ", told)
    )
    assert [*(each / 1000 for each in milliseconds), *seconds] == [bound * 1e-9 for bound in layout.BOUNDS]


@pytest.mark.parametrize("query", [query for _, query in table("question")])
def test_query_of_the_page_is_about_metrics(query):
    check_expression(query.strip("`"))


@pytest.mark.parametrize(
    "expression",
    [
        "rate(pronghorn_request_total[5m])",
        'rate(pronghorn_requests_total{code="500"}[5m])',
        "sum by (path) (rate(pronghorn_requests_total[5m]))",
        "sum(rate(pronghorn_requests_total[5m])",
    ],
)
def test_wrong_query_is_noticed(expression):
    with pytest.raises(AssertionError):
        check_expression(expression)


# The dashboard


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_panel_is_about_metrics(panel):
    assert panel["targets"]
    for target in panel["targets"]:
        check_expression(target["expr"])
        assert target["datasource"]["uid"] == panel["datasource"]["uid"] == "${datasource}"
        assert target["expr"].count('{job=~"$job",instance=~"$instance"') == len(re.findall(r"\{", target["expr"]))
        metrics, groups = used(target["expr"])
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert shown <= (groups or OF_TARGET.union(*(SAMPLES[name] for name in metrics)))


def test_dashboard_shows_every_metric():
    shown = {name for panel in PANELS for target in panel["targets"] for name in used(target["expr"])[0]}
    of_metric = {metric.name: {sample.name for sample in metric.samples} for metric in METRICS}
    assert [name for name, samples in of_metric.items() if not samples & shown] == []


def test_panels_do_not_overlap():
    taken = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        ):
            assert taken.setdefault(cell, panel["title"]) is panel["title"]


def test_panels_have_ids_and_titles_of_their_own():
    for key in ("id", "title"):
        values = [panel[key] for panel in DASHBOARD["panels"]]
        assert len(set(values)) == len(values)


def test_variables_are_defined_before_they_are_used():
    defined = set()
    for variable in DASHBOARD["templating"]["list"]:
        assert (
            set(re.findall(r"\$\{?(\w+)", json.dumps([variable.get("query"), variable.get("datasource")]))) <= defined
        )
        defined.add(variable["name"])
    text = json.dumps(DASHBOARD["panels"])
    assert set(re.findall(r"\$\{?(\w+)", text)) == defined | {"__rate_interval"}


def test_variables_select_metrics():
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+)(?:\{(.*)\})?, (\w+)\)", variable["query"]["query"])
            assert found[1] in SAMPLES
            assert found[3] == variable["name"]
