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
from typing import Any, ClassVar

from locust import User, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

# Locust has patched the standard library for gevent by now; psycopg must not load before that.
import psycopg  # isort: skip

from replay.demo.data import SEED, SIZES, make_labels
from replay.demo.questions import QUESTIONS, Question, Values, draw_values, expand_lists

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
    days: ClassVar[tuple[int, ...]]
    """How long a period one session may be about."""
    think_s: ClassVar[tuple[float, float]]
    """Bounds of the time between two questions, in a quiet period."""

    _born: ClassVar[int] = 0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        options = environment.parsed_options
        assert options is not None
        cls = type(self)
        self.random = random.Random(f"{options.seed} {cls.__name__} {cls._born}")
        cls._born += 1
        self.labels = make_labels(SIZES[options.size], seed=SEED)
        self.values: Values = {}
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
        self.values = draw_values(self.random, self.labels, days=self.random.choice(self.days))
        with psycopg.connect(
            self.host,
            user=self.role,
            application_name=type(self).__name__.lower(),
            autocommit=True,
            prepare_threshold=None,
        ) as connection:
            for step in self.steps():
                self.ask(connection, step)
                if self.over:
                    break
                self.think(*self.think_s)

    def pause_before_session(self) -> None:
        """Wait a moment; dashboards wait for the refresh instead."""
        self.think(0.2, 1.5)

    def steps(self) -> Iterator[str]:
        """A session's statements: names of questions, or plain SQL."""
        raise NotImplementedError

    @property
    def elapsed_s(self) -> float:
        """Since this customer came, which is when the run began."""
        return time.monotonic() - self.started_s

    @property
    def over(self) -> bool:
        """True when the run's time is up: finish the question, start no other."""
        return self.elapsed_s >= self.run_s - 0.3

    def think(self, low_s: float, high_s: float) -> None:
        """Sleep, less in the busy period, never beyond the end of the run."""
        busy = 1 / 3 <= self.elapsed_s / self.run_s < 2 / 3
        pause_s = self.random.uniform(low_s, high_s) / (2.0 if busy else 1.0)
        time.sleep(max(0.0, min(pause_s, self.run_s - self.elapsed_s)))

    def ask(self, connection: psycopg.Connection[Any], step: str) -> None:
        """Send one statement in its own way, bound or spelt out; tell Locust how it went."""
        question = QUESTIONS.get(step) or Question(name=step.split()[0], sql=step)
        text, values = expand_lists(question, self.values)
        if not question.bound:
            text = psycopg.ClientCursor(connection).mogrify(text, values)
        started_s = time.perf_counter()
        error: Exception | None = None
        rows = 0
        try:
            cursor = connection.execute(text.encode(), values if question.bound else None)
            rows = len(cursor.fetchall()) if cursor.description else 0
        except psycopg.Error as failure:
            error = None if question.fails else failure
        self.environment.events.request.fire(
            request_type="SQL",
            name=question.name,
            response_time=(time.perf_counter() - started_s) * 1_000,
            response_length=rows,
            exception=error,
            context={},
        )


class Dashboard(Customer):
    """A screen on a wall: the same widgets, one after another, at every refresh."""

    fixed_count = 8
    role = "dashboard"
    days = (14,)
    think_s = (0.0, 0.03)

    def pause_before_session(self) -> None:
        """Wait for the next refresh, which is the same moment for every dashboard."""
        period_s = self.run_s / _REFRESHES
        time.sleep(period_s - self.elapsed_s % period_s + self.random.uniform(0, 0.1))

    def steps(self) -> Iterator[str]:
        """Freshness, then the widgets."""
        yield "freshness"
        yield from ("totals_by_day", "top_campaigns", "pacing", "formats_of_day", "hour_of_day")


class Analyst(Customer):
    """Somebody who looks for a reason: from a customer down to a site."""

    fixed_count = 6
    role = "analyst"
    days = (3, 7, 14)
    think_s = (0.1, 0.5)

    def steps(self) -> Iterator[str]:
        """Find a campaign, then go into it."""
        yield self.random.choice(("campaigns", "campaign_search"))
        yield "two_weeks"
        yield from self.random.sample(("sites_of_campaign", "country_share", "running_spend"), 2)
        wide = ("chosen_campaigns", "best_days", "weak_sites", "screen_sizes")
        yield from self.random.sample(wide, 3)
        if self.random.random() < 0.15:
            yield "export"


class Finance(Customer):
    """The end of a month: settings, and one consistent view of all customers."""

    fixed_count = 2
    role = "finance"
    days = (30,)
    think_s = (0.05, 0.3)

    def steps(self) -> Iterator[str]:
        """One month for everybody, then some customers one by one."""
        yield "SET statement_timeout = '30s'"
        yield "SET TIME ZONE 'UTC'"
        yield "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        yield "billing_month"
        for customer in self.random.sample(self.labels.customers, self.random.randint(2, 5)):
            self.values = {**self.values, "customer": customer.name}
            yield "billing_terms"
        yield "billing_terms_using"
        yield "sites_of_big_spenders"
        yield "COMMIT"


class Support(Customer):
    """Somebody on the telephone who needs to know who is calling."""

    fixed_count = 2
    role = "analyst"
    days = (7,)
    think_s = (0.05, 0.3)

    def steps(self) -> Iterator[str]:
        """Contact, account, what they spend."""
        yield from ("contact_search", "account", "contact_totals")


class Spreadsheet(Customer):
    """A forgotten tool that asks for columns first, and for some that are gone."""

    fixed_count = 1
    role = "finance"
    days = (3,)
    think_s = (0.1, 0.4)

    def steps(self) -> Iterator[str]:
        """The catalogue, a column that does not exist, a division that may be by zero."""
        if self.random.random() < 0.3:
            self.values = {**self.values, "customer": self.labels.customers[-1].name}
        yield "columns_of_report"
        yield "SELECT 1"
        yield "revenue"
        yield "cost_per_click"
        yield "export"
