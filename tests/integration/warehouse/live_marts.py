"""What the marts of the live sources must contain, computed in Python from the same rows, and random rows for it.

The formulas are written from their definitions: nothing here is taken from the SQL.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter, defaultdict
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    from dbt_project import Row

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
BEGIN = MONDAY - timedelta(days=20)
FIRST_RUN = MONDAY + timedelta(days=21, hours=9, minutes=30)
SECOND_RUN = FIRST_RUN + timedelta(days=1, hours=11)
DAY = timedelta(seconds=86_400)
CONDITIONS = {
    "clear": [(0, 1)], "cloudy": [(2, 3)], "fog": [(45, 48)], "drizzle": [(51, 57)], "rain": [(61, 67), (80, 82)],
    "snow": [(71, 77), (85, 86)], "thunderstorm": [(95, 99)],
}  # fmt: skip
TYPES = [
    ("PushEvent", None), ("PullRequestEvent", "opened"), ("PullRequestEvent", "closed"), ("PullRequestEvent", "merged"),
    ("PullRequestEvent", "labeled"), ("PullRequestReviewEvent", "created"), ("IssuesEvent", "opened"),
    ("IssuesEvent", "closed"), ("IssueCommentEvent", "created"), ("CommitCommentEvent", None),
    ("PullRequestReviewCommentEvent", "created"), ("WatchEvent", "started"), ("ForkEvent", None), ("CreateEvent", None),
]  # fmt: skip


# Random rows


def text_of(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def prices(seed: int, count: int) -> list[Row]:
    """Prices of three weeks; some are null, some are 0, and one coin has none. Some are at the start of a window."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        at = MONDAY + timedelta(microseconds=chance.randrange(21 * 86_400_000_000))
        if chance.random() < 0.1:
            at = datetime.combine(at, time(), UTC) - chance.choice([timedelta(), timedelta(microseconds=1)])
        coin = f"coin-{chance.randrange(6)}"
        price = chance.choice([None, 0.0] + [chance.uniform(90, 110)] * 14)
        if coin == "coin-0":
            price = None
        if coin == "coin-1":
            price = 50.0
        found.append({
            "coin_id": coin, "symbol": coin, "name": coin, "price_usd": price, "last_updated": text_of(at),
            "market_cap": chance.choice([None, float(number)]), "total_volume": chance.choice([None, 1e9 * number]),
        })  # fmt: skip
    return found


def hours_of_weather(seed: int, share: float) -> list[Row]:
    """Hours, some with a second reading, of 42 days and of 3 days to come; some days have few of them, one is hot."""
    chance = random.Random(seed)
    found = []
    for city in ("Berlin", "Nairobi", "Constant"):
        for day in range(45):
            usual, here = chance.gauss(10, 3), chance.choice([0.5, 0.8, 1, 1, 1, 1, 1]) * share
            if (city, day) == ("Nairobi", 39):
                usual, here = 40, 1
            for half_hour in range(48):
                if chance.random() > (here if half_hour % 2 == 0 else 0.05):
                    continue
                warm = 40 if chance.random() < 0.002 else 0
                temperature = 7.1 if city == "Constant" else usual + chance.gauss(0, 2) + warm
                found.append({
                    "city": city, "observed_at": text_of(BEGIN + day * DAY + half_hour * timedelta(minutes=30)),
                    "temperature_c": chance.choice([None] + [temperature] * 20),
                    "humidity_pct": chance.choice([None, 0, 100, chance.uniform(0, 100)]),
                    "precipitation_mm": chance.choice([None, 0, chance.uniform(0, 9)]) if day % 5 else None,
                    "wind_kmh": chance.choice([None, 0, chance.uniform(0, 90)]),
                    "weather_code": chance.choice([None, 0, 2, 10, 46, 51, 57, 60, 67, 80, 75, 86, 99, 100]),
                })  # fmt: skip
    return found


def events(seed: int, count: int, first: int) -> list[Row]:
    """Events of twelve days; some without an actor, of accounts in several spellings, and of bots."""
    chance = random.Random(seed)
    found = []
    for number in range(first, first + count):
        kind, action = chance.choice(TYPES)
        at = MONDAY + timedelta(hours=chance.randrange(12 * 24), seconds=chance.choice([0, 3599, 10]))
        if at.date() == (MONDAY + 8 * DAY).date():
            at += DAY  # a day without an event
        found.append({
            "id": f"e{number}", "type": kind, "created_at": text_of(at), "action": action, "ref": None,
            "actor_login": chance.choice([None, "Ada", "ada", "bob", "Cy-1", "x[bot]", "X[Bot]", "_zed", "Zoe"]),
            "repository": chance.choice(["o/a", "o/B", "o/_c", "o/é", "p/a"]),
        })  # fmt: skip
    return found


def moved(row: Row, by: timedelta) -> Row:
    return row | {"created_at": text_of(datetime.fromisoformat(row["created_at"]) + by)}


# Definitions


def mean(values: Sequence[float]) -> float | None:
    return float(sum(map(Fraction, values)) / len(values)) if values else None


def sample_sd(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    if len(points) < 2:
        return None
    exact = [(Fraction(x), Fraction(y)) for x, y in points]
    middle_x, middle_y = (sum(part) / len(exact) for part in zip(*exact, strict=True))
    squares = sum((x - middle_x) ** 2 for x, _ in exact)
    return float(sum((x - middle_x) * (y - middle_y) for x, y in exact) / squares)


def ratio(over: float | None, under: float | None) -> float | None:
    return None if over is None or under is None or under == 0 else over / under


def percent(last: float | None, first: float | None) -> float | None:
    part = ratio(last, first)
    return None if part is None else 100 * (part - 1)


def present(rows: Iterable[Row], name: str) -> list[Any]:
    return [row[name] for row in rows if row[name] is not None]


def first_most_common(values: Iterable[str]) -> str | None:
    """The most frequent text; of equally frequent ones the first by its bytes."""
    counted = Counter(values)
    return min(counted, key=lambda text: (-counted[text], text.encode())) if counted else None


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def at(row: Row, name: str) -> datetime:
    return datetime.fromisoformat(row[name])


# Expected tables, by their keys


def price_summary(rows: list[Row]) -> dict[tuple[str, str, datetime], Row]:
    found = {}
    for size, length in (("day", DAY), ("week", 7 * DAY)):

        def start(row: Row, length: timedelta = length) -> datetime:
            return MONDAY + (at(row, "last_updated") - MONDAY) // length * length

        for (coin, begin), inside in grouped(rows, lambda row: (row["coin_id"], start(row))).items():
            found[coin, size, begin] = price_window(inside, begin) | {"window_end": begin + length}
    return found


def price_window(rows: list[Row], begin: datetime) -> Row:
    ordered = sorted(rows, key=lambda row: at(row, "last_updated"))
    points = [row for row in ordered if row["price_usd"] is not None]
    values = [row["price_usd"] for row in points]
    first, last = (values[0], values[-1]) if values else (None, None)
    change = percent(last, first)
    returns = [math.log(after / before) for before, after in pairwise(values) if before and after]
    falls = [percent(value, max(values[: index + 1])) for index, value in enumerate(values)]
    return {
        "points": len(points), "missing_points": len(rows) - len(points), "first_price": first, "last_price": last,
        "min_price": min(values, default=None), "max_price": max(values, default=None), "mean_price": mean(values),
        "change_pct": change, "volatility": sample_sd(returns),
        "trend_usd_per_hour": slope(
            [((at(row, "last_updated") - begin).total_seconds() / 3600, row["price_usd"]) for row in points]
        ),
        "trend": None if change is None else "up" if change > 1 else "down" if change < -1 else "flat",
        "max_drawdown_pct": min((fall for fall in falls if fall is not None), default=None),
        "mean_volume": mean(present(rows, "total_volume")),
        "last_market_cap": (present(ordered, "market_cap") or [None])[-1],
    }  # fmt: skip


def weather_days(rows: list[Row], started_at: datetime) -> dict[tuple[str, date], Row]:
    seen = [row for row in rows if at(row, "observed_at") <= started_at]
    found = {
        key: weather_day(inside)
        for key, inside in grouped(seen, lambda row: (row["city"], at(row, "observed_at").date())).items()
    }
    for (city, day), row in found.items():
        before = {back: found.get((city, day - back * timedelta(1))) for back in range(31)}
        means = [(-back, one["temperature_mean_c"]) for back, one in before.items() if one and back < 7]
        row["temperature_trend_c_per_day"] = slope([(x, value) for x, value in means if value is not None])
        history = [one["temperature_mean_c"] for back, one in before.items() if back and one and one["hours"] >= 18]
        is_comparable = row["hours"] >= 18 and len(history) >= 7
        anomaly = row["temperature_mean_c"] - mean(history) if is_comparable else None
        spread = sample_sd(history) if is_comparable else None
        z = None if spread is None or spread < 1e-9 else anomaly / spread
        row |= {
            "history_days": len(history), "temperature_anomaly_c": anomaly, "temperature_anomaly_z": z,
            "is_anomaly": None if z is None else abs(z) >= 3,
        }  # fmt: skip
    return found


def weather_day(rows: list[Row]) -> Row:
    temperatures, rain = present(rows, "temperature_c"), present(rows, "precipitation_mm")
    names = [
        name for code in present(rows, "weather_code") for name, ranges in CONDITIONS.items()
        if any(low <= code <= high for low, high in ranges)
    ]  # fmt: skip
    order = list(CONDITIONS)
    counted = Counter(names)
    return {
        "readings": len(rows),
        "hours": len({at(row, "observed_at").hour for row in rows if row["temperature_c"] is not None}),
        "temperature_min_c": min(temperatures, default=None), "temperature_mean_c": mean(temperatures),
        "temperature_max_c": max(temperatures, default=None), "humidity_mean_pct": mean(present(rows, "humidity_pct")),
        "precipitation_mm": float(sum(map(Fraction, rain))) if rain else None,
        "wind_max_kmh": max(present(rows, "wind_kmh"), default=None),
        "condition": max(counted, key=lambda name: (counted[name], order.index(name)), default=None),
    }  # fmt: skip


def is_bot(row: Row) -> bool:
    return row["actor_login"] is not None and row["actor_login"].lower().endswith("[bot]")


def counts(rows: list[Row], **conditions: Callable[[str, str | None], bool]) -> Row:
    """The number of events of each kind, and of those of no kind."""
    found = {
        name: sum(holds(row["type"].removesuffix("Event"), row["action"]) for row in rows)
        for name, holds in conditions.items()
    }
    return {"events": len(rows), **found, "other_events": len(rows) - sum(found.values())}


def comments(kind: str, _: str | None) -> bool:
    return kind in {"IssueComment", "CommitComment", "PullRequestReviewComment"}


def rank_of(own: int, others: Iterable[int]) -> int:
    return 1 + sum(other > own for other in others)


def developers(rows: list[Row]) -> dict[tuple[date, str], Row]:
    own = [row for row in rows if row["actor_login"] is not None]
    groups = grouped(own, lambda row: (at(row, "created_at").date(), row["actor_login"].lower()))
    found = {}
    for (day, login), inside in groups.items():
        peers = [len(other) for (when, _), other in groups.items() if when == day and not is_bot(other[0])]
        found[day, login] = counts(
            inside,
            pushes=lambda kind, _: kind == "Push",
            pull_requests_opened=lambda kind, action: (kind, action) == ("PullRequest", "opened"),
            pull_requests_closed=lambda kind, action: kind == "PullRequest" and action in {"closed", "merged"},
            reviews=lambda kind, _: kind == "PullRequestReview",
            issues_opened=lambda kind, action: (kind, action) == ("Issues", "opened"),
            comments=comments,
            stars=lambda kind, _: kind == "Watch",
        ) | {
            "is_bot": is_bot(inside[0]),
            "repositories": len({row["repository"] for row in inside}),
            "top_repository": first_most_common(row["repository"] for row in inside),
            "active_hours": len({at(row, "created_at").hour for row in inside}),
            "events_7_days": sum(len(groups.get((day - back * timedelta(1), login), [])) for back in range(7)),
            "rank_in_day": None if is_bot(inside[0]) else rank_of(len(inside), peers),
        }
    return found


def repositories(rows: list[Row]) -> dict[tuple[date, str], Row]:
    groups = grouped(rows, lambda row: (at(row, "created_at").date(), row["repository"]))
    found = {}
    for (day, repository), inside in groups.items():
        logins = [row["actor_login"].lower() for row in inside if row["actor_login"] is not None and not is_bot(row)]
        hours = Counter(at(row, "created_at").hour for row in inside)
        found[day, repository] = counts(
            inside,
            pushes=lambda kind, _: kind == "Push",
            pull_requests=lambda kind, _: kind == "PullRequest",
            issues=lambda kind, _: kind == "Issues",
            comments=comments,
            stars=lambda kind, _: kind == "Watch",
        ) | {
            "developers": len(set(logins)), "top_developer": first_most_common(logins),
            "busiest_hour": min(hours, key=lambda hour: (-hours[hour], hour)),
            "rank_in_day": rank_of(len(inside), (len(other) for (when, _), other in groups.items() if when == day)),
        }  # fmt: skip
    return found


def hours_of_week(rows: list[Row]) -> dict[tuple[int, int], Row]:
    groups = grouped(rows, lambda row: (at(row, "created_at").isoweekday(), at(row, "created_at").hour))
    found = {}
    for weekday in range(1, 8):
        for hour in range(24):
            inside = groups.get((weekday, hour), [])
            logins = {row["actor_login"].lower() for row in inside if row["actor_login"] and not is_bot(row)}
            found[weekday, hour] = {
                "events": len(inside), "developers": len(logins), "events_share": ratio(len(inside), len(rows)),
            }  # fmt: skip
    return found
