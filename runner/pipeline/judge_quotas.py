"""Which quota a judge draws on. A judge of a live sweep is another process with an authority of its own.

Two authorities over one quota would grant it twice. So the configuration says which share the sweep
leaves to its judges (`quotas.<group>.judges`); the sweep never draws on that share, and a judge on
nothing else while the sweep is held. Once nobody holds the sweep, a judge has all of it. A judge that
would draw on the quota of a live sweep without a share is refused. Two judges of one sweep run one
after the other in one `runner grade`; two such commands at once would both use the share.
"""

from __future__ import annotations

from dataclasses import replace

from runner.config.quota_schema import ModelQuotaConfig, QuotaConfig, QuotaGroupConfig
from runner.config.quotas import limits_rate, of_share
from runner.config.schema import ModelConfig, SweepConfig, called
from runner.core.errors import ConfigError


def judge_quota(
    model: ModelConfig, judged: SweepConfig, *, live: bool
) -> tuple[ModelConfig, list[QuotaGroupConfig]]:
    """Return the judge's model and the groups of its sweep.

    Args:
        model: that judges.
        judged: the configuration of the judged sweep.
        live: somebody holds the judged sweep, or may.

    Raises:
        ConfigError: no such group; or a quota of the live sweep of which judges have no share.
    """
    own = model.quota or ModelQuotaConfig()
    if own.group is not None:
        group = next((g for g in judged.quotas if g.name == own.group), None)
        if group is None:
            names = ", ".join(g.name for g in judged.quotas) or "none"
            msg = (
                f"judges.{model.name}.quota.group: the judged sweep has no quota {own.group!r} (it has: "
                f"{names}). Name one of them, or give the judge limits of its own."
            )
            raise ConfigError(msg)
        drawn = any(m.quota is not None and m.quota.group == own.group for m in called(judged))
        share = _share(model, group, f"quotas.{group.name}", live=live and drawn)
        return model, [of_share(group, share)]
    twin = next((m for m in called(judged) if _same_endpoint(m, model)), None)
    if twin is None or not limits_rate(own):
        return replace(model, quota=of_share(own, 1.0)), []
    if twin.quota is not None and twin.quota.group is not None:
        group = next(g for g in judged.quotas if g.name == twin.quota.group)
        share = _share(model, group, f"quotas.{group.name}", live=live)
    else:
        theirs = twin.quota or ModelQuotaConfig()
        share = _share(model, theirs, f"models.{twin.name}.quota", live=live)
    return replace(model, quota=of_share(own, share)), []


def _same_endpoint(one: ModelConfig, other: ModelConfig) -> bool:
    return (one.provider, one.base_url, one.model, one.api_key_env) == (
        other.provider, other.base_url, other.model, other.api_key_env,
    )  # fmt: skip


def _share(model: ModelConfig, quota: QuotaConfig, key: str, *, live: bool) -> float:
    if not live or not limits_rate(quota):
        return 1.0
    if quota.judges is None:
        msg = (
            f"judge {model.name}: it draws on the same quota as the sweep that is running. Leave judges a "
            f"share of it ({key}.judges: 0.2, in the sweep's configuration), or grade when it has ended."
        )
        raise ConfigError(msg)
    return quota.judges
