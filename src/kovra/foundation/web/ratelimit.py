"""Token buckets in memory: general traffic per credential (or address), deploying and polling apart, per process."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from kovra.foundation import clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """``burst`` requests at once, refilled evenly over ``window_s`` seconds."""

    name: str
    burst: int
    window_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitOptions:
    """Limits per credential and minute; the docs page states them."""

    general: Bucket = field(default=Bucket(name="general", burst=1200, window_s=60))
    deploy: Bucket = field(default=Bucket(name="deploy", burst=120, window_s=60))
    poll: Bucket = field(default=Bucket(name="poll", burst=1200, window_s=60))
    public: Bucket = field(default=Bucket(name="public", burst=300, window_s=60))
    """Without a credential that has proven to live, from one network: an IPv4 address, an IPv6 /64."""
    site: Bucket = field(default=Bucket(name="site", burst=1500, window_s=60))
    """The same from all networks of an IPv6 /48, which one caller may own whole."""

    @classmethod
    def unlimited(cls) -> RateLimitOptions:
        """Buckets no benchmark empties; the work per request stays the same."""
        names = ("general", "deploy", "poll", "public", "site")
        return cls(**{name: Bucket(name=name, burst=10_000_000, window_s=1) for name in names})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the request may pass, and what the RateLimit headers say."""

    allowed: bool
    bucket: Bucket
    remaining: int
    reset_s: float


class RateLimiter:
    """Bounded: the callers seen longest ago are forgotten first, which gives them a full bucket, never a smaller one."""

    def __init__(self, *, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self._state: OrderedDict[tuple[str, bytes], tuple[float, float]] = OrderedDict()

    def take(self, bucket: Bucket, caller: bytes) -> Verdict:
        """Take one token for this caller."""
        now = clock.monotonic()
        key = (bucket.name, caller)
        tokens, at = self._state.pop(key, (float(bucket.burst), now))
        rate = bucket.burst / bucket.window_s
        tokens = min(float(bucket.burst), tokens + (now - at) * rate)
        allowed = tokens >= 1
        if allowed:
            tokens -= 1
        self._state[key] = (tokens, now)
        if len(self._state) > self._capacity:
            self._state.popitem(last=False)
        reset = (1 - tokens) / rate if not allowed else (bucket.burst - tokens) / rate
        return Verdict(allowed, bucket, int(tokens), reset)
