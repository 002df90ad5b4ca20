"""The demo's customers at work on 1.0: a locustfile.

Its only lasting effect is what the server writes into its own log. Nothing here is ever an input
of a replay.

    locust -f replay/demo/traffic.py --headless -t 20s --host postgresql://…

A session is one connection with several questions and time to think between them. Dashboards
refresh together, which makes bursts, and everybody thinks faster in the middle third of the run,
which makes a busy period.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

from locust import User, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

# Locust has patched the standard library for gevent by now; psycopg must not load before that.
import psycopg  # isort: skip

from replay.demo.data import (
    COUNTRIES,
    DAYS,
    FIRST_HOUR,
    SEED,
    SIZES,
    Labels,
    clickless_customer,
    make_labels,
)
from replay.demo.questions import QUESTIONS, Question, Values, expand_lists

_REFRESHES = 10
"""How often the dashboards refresh in one run."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="Seed of who asks what and when")
    parser.add_argument("--size", choices=sorted(SIZES), default="medium", help="Size of 1.0")


class Customer(User):
    """What all customers share: a clock, a seeded choice, and sessions."""

    abstract = True
    wait_time = constant(0)
    role: ClassVar[str]
    think_s: ClassVar[tuple[float, float]]
    """Bounds of the time between two questions, in a quiet period."""

    _born: ClassVar[int] = 0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        options = environment.parsed_options
        assert options is not None and self.host is not None
        cls = type(self)
        self.random = random.Random(f"{options.seed} {cls.__name__} {cls._born}")
        cls._born += 1
        self.labels: Labels = make_labels(SIZES[options.size], seed=SEED)
        self.run_s = float(options.run_time or 20)
        self.started_s = time.monotonic()

    @task
    def session(self) -> None:
        """Connect, ask, think, disconnect."""
        self.pause_before_session()
        if self.over:
            time.sleep(0.1)
            return
        assert self.host is not None
        with psycopg.connect(
            self.host,
            user=self.role,
            application_name=type(self).__name__.lower(),
            autocommit=True,
            prepare_threshold=None,
        ) as connection:
            for step in self.steps():
                if isinstance(step, str):
                    self.send(connection, step.split(" ", 1)[0], step, None)
                else:
                    self.ask(connection, *step)
                if self.over:
                    break
                self.think(*self.think_s)

    def pause_before_session(self) -> None:
        """Wait a moment; dashboards wait for the refresh instead."""
        self.think(0.2, 1.5)

    def steps(self) -> Iterator[str | tuple[str, Values]]:
        """A session's statements: plain SQL, or a question's name with its values."""
        raise NotImplementedError

    @property
    def over(self) -> bool:
        """True when the run's time is up: finish the question, start no other."""
        return time.monotonic() - self.started_s >= self.run_s - 0.3

    def think(self, low_s: float, high_s: float) -> None:
        """Sleep, less in the busy period, never beyond the end of the run."""
        elapsed_s = time.monotonic() - self.started_s
        busy = 1 / 3 <= elapsed_s / self.run_s < 2 / 3
        pause_s = self.random.uniform(low_s, high_s) / (2.0 if busy else 1.0)
        time.sleep(max(0.0, min(pause_s, self.run_s - elapsed_s)))

    def ask(self, connection: psycopg.Connection[Any], name: str, values: Values) -> None:
        """Ask one question in its own way, bound or spelt out."""
        question = QUESTIONS[name]
        text, flat = expand_lists(question, values)
        if question.bound:
            self.send(connection, name, text, flat, question)
        else:
            literal = psycopg.ClientCursor(connection).mogrify(text, flat)
            self.send(connection, name, literal, None, question)

    def send(
        self,
        connection: psycopg.Connection[Any],
        name: str,
        text: str,
        values: Values | None,
        question: Question | None = None,
    ) -> None:
        """Send one statement and fetch its rows; tell Locust how it went."""
        started_s = time.perf_counter()
        error: Exception | None = None
        rows = 0
        try:
            cursor = connection.execute(text.encode(), values)
            rows = len(cursor.fetchall()) if cursor.description else 0
        except psycopg.Error as failure:
            error = None if question is not None and question.fails else failure
        self.environment.events.request.fire(
            request_type="SQL",
            name=name,
            response_time=(time.perf_counter() - started_s) * 1_000,
            response_length=rows,
            exception=error,
            context={},
        )

    def choose_values(self, *, days: int) -> dict[str, str | int | list[str]]:
        """Values for any question, about one customer, one campaign and `days` days."""
        draw = self.random
        owner = draw.randrange(len(self.labels.customers))
        customer = self.labels.customers[owner]
        own = [one for one in self.labels.campaigns if one.customer == owner]
        campaign = draw.choice(own)
        first = FIRST_HOUR + timedelta(days=draw.randrange(DAYS - days))
        month = draw.choice((4, 5, 6))
        return {
            "customer": customer.name,
            "contact_name": f"{customer.first_name} {customer.last_name}",
            "contact": draw.choice((f"{customer.first_name} %", f"%{customer.last_name[:3]}%")),
            "campaign": campaign.name,
            "campaigns": [one.name for one in draw.sample(own, draw.randint(1, len(own)))],
            "site": draw.choice(self.labels.sites[:10]),
            "country": draw.choice(COUNTRIES),
            "label": f"%{draw.choice(('Sale', 'Spring', '20% off', 'Loyalty', '00'))}%",
            "from": f"{first:%Y-%m-%d %H:%M:%S}",
            "to": f"{first + timedelta(days=days):%Y-%m-%d %H:%M:%S}",
            "before": f"{first - timedelta(days=days):%Y-%m-%d %H:%M:%S}",
            "day": f"{first:%Y-%m-%d}",
            "next_day": f"{first + timedelta(days=1):%Y-%m-%d}",
            "month": f"2026-{month:02d}-01",
            "next_month": f"2026-{month + 1:02d}-01",
            "limit": draw.choice((5, 10, 25)),
            "credit": draw.randrange(20, 150) * 1_000,
            "per_mille": draw.randint(8, 13),
        }


class Dashboard(Customer):
    """A screen on a wall: the same widgets, one after another, at every refresh."""

    fixed_count = 8
    role = "dashboard"
    think_s = (0.0, 0.03)

    def pause_before_session(self) -> None:
        """Wait for the next refresh, which is the same moment for every dashboard."""
        period_s = self.run_s / _REFRESHES
        elapsed_s = time.monotonic() - self.started_s
        time.sleep(period_s - elapsed_s % period_s + self.random.uniform(0, 0.1))

    def steps(self) -> Iterator[str | tuple[str, Values]]:
        """Freshness, then the widgets."""
        yield "freshness", {}
        values = self.choose_values(days=14)
        for name in ("totals_by_day", "top_campaigns", "pacing", "formats_of_day", "hour_of_day"):
            yield name, values


class Analyst(Customer):
    """Somebody who looks for a reason: from a customer down to a site."""

    fixed_count = 6
    role = "analyst"
    think_s = (0.1, 0.5)

    def steps(self) -> Iterator[str | tuple[str, Values]]:
        """Find a campaign, then go into it."""
        values = self.choose_values(days=self.random.choice((3, 7, 14)))
        yield self.random.choice(("campaigns", "campaign_search")), values
        yield "two_weeks", values
        drills = ("sites_of_campaign", "devices_of_site", "country_share", "running_spend")
        wide = ("chosen_campaigns", "best_days", "weak_sites", "screen_sizes", "countries")
        for name in self.random.sample(drills, 3) + self.random.sample(wide, 2):
            yield name, values
        if self.random.random() < 0.15:
            yield "export", values


class Finance(Customer):
    """The end of a month: settings, and one consistent view of all customers."""

    fixed_count = 2
    role = "finance"
    think_s = (0.05, 0.3)

    def steps(self) -> Iterator[str | tuple[str, Values]]:
        """One month for everybody, then some customers one by one."""
        values = self.choose_values(days=30)
        yield "SET statement_timeout = '30s'"
        yield "SET TIME ZONE 'UTC'"
        yield "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        yield "billing_month", values
        for _ in range(self.random.randint(2, 5)):
            customer = self.random.choice(self.labels.customers).name
            yield "billing_terms", {**values, "customer": customer}
        yield "billing_terms_using", values
        yield "sites_of_big_spenders", values
        yield "COMMIT"


class Support(Customer):
    """Somebody on the telephone who needs to know who is calling."""

    fixed_count = 2
    role = "analyst"
    think_s = (0.05, 0.3)

    def steps(self) -> Iterator[str | tuple[str, Values]]:
        """Contact, account, what they spend."""
        values = self.choose_values(days=7)
        yield "contact_search", values
        yield "account", values
        yield "contact_totals", values


class Spreadsheet(Customer):
    """A forgotten tool that asks for columns first, and for some that are gone."""

    fixed_count = 1
    role = "finance"
    think_s = (0.1, 0.4)

    def steps(self) -> Iterator[str | tuple[str, Values]]:
        """The catalogue, a column that does not exist, a division that may be by zero."""
        values = self.choose_values(days=3)
        if self.random.random() < 0.3:
            last = clickless_customer(len(self.labels.customers))
            values["customer"] = self.labels.customers[last].name
        yield "columns_of_report", values
        yield "SELECT 1"
        yield "revenue", values
        yield "cost_per_click", values
        yield "export", values
