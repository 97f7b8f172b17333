"""Learning events to statistics: one fold per embedding space holds every configured policy and the output lengths."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from router_backend.bandits.batch import Batch
from router_backend.bandits.context import CONTEXT_DIM, EARLIER_DIM, prompt_tokens_of, widened
from router_backend.bandits.costs import CostModel, OutputLengths
from router_backend.bandits.factory import build_policy
from router_backend.bandits.policy import Policy
from router_backend.bandits.statistics.fields import Fields, FieldsError, nested, part, taken
from router_backend.classifier.space_map import SpaceMap
from router_backend.config import RouterConfig
from router_backend.config.policy import LearningPolicyConfig
from router_backend.contract import TASKS
from router_backend.core.observations import Observations
from router_backend.core.records import LearningEvent
from router_backend.core.signals import ORDER
from router_backend.learning.checkpoint import Checkpoint, CheckpointError
from router_backend.learning.reliability import Reliability
from router_backend.learning.revisions import Revisions
from router_backend.routing.view import View

# How events are learned, of which releases differ: their checkpoints are apart.
_RULES = 3


class Fold:
    """Statistics of one embedding space under one configuration. One thread folds; others read views."""

    def __init__(
        self, config: RouterConfig, space: int, space_map: SpaceMap | None = None, tasks: Sequence[str] = TASKS
    ) -> None:
        """`tasks`: of the space's classifier."""
        self.config = config
        self.space = space
        self._tasks = tasks
        self.sequence = 0
        self.log = ""  # the name of the log that this is of
        self.lacks = 0  # the first events of it, which weren't read
        self.whole = True  # False: some events weren't read, or were learned in another way: no checkpoint
        self._map = space_map if space_map is not None and space_map.target == space else None
        self._arms = {name: index for index, name in enumerate(config.names)}
        self._named = config.named_policies()
        built: dict[int, Policy] = {}
        for policy in self._named.values():
            if id(policy) not in built:
                built[id(policy)] = build_policy(
                    policy, config.models, default=config.default_model, space=space, tasks=tasks
                )
        self._policies = {name: built[id(policy)] for name, policy in self._named.items()}
        self._distinct = tuple(built.values())
        self._costs = CostModel(config.models, OutputLengths(config.names, tasks), config.gateway.feedback_cost_usd)
        self.reliability = Reliability(tasks)
        self._revisions = Revisions()

    @property
    def key(self) -> str:
        """Names what the statistics depend on beside the log: folds of one key that read the same log are the same."""
        return self._key(CONTEXT_DIM)

    @property
    def family(self) -> str:
        """Begins the keys of folds that differ in models and policies alone."""
        return self._family(CONTEXT_DIM)

    def _key(self, dim: int) -> str:
        return self._family(dim) + _digest([self.config.names, [policy.learned_by for policy in self._distinct]])

    def _family(self, dim: int) -> str:
        source = self._map.digest() if self._map is not None else ""
        return _digest([_RULES, ORDER, self.space, source, dim])

    def checkpoint(self) -> Checkpoint:
        """What was learned so far of the log."""
        fields: Fields = nested("lengths", self._costs.lengths.dump())
        fields |= nested("reliability", self.reliability.dump()) | nested("revisions", self._revisions.dump())
        for index, policy in enumerate(self._distinct):
            fields |= nested(f"policy{index}", policy.dump())
        fields["roster"] = np.frombuffer(orjson.dumps(self._roster()), np.uint8)
        return Checkpoint(self.key, self.log, self.sequence, fields, self.family)

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint, in place of what was folded.

        Raises:
            CheckpointError: it is of another configuration, or damaged. The fold must not be used then.
        """
        if checkpoint.key not in (self.key, self._key(EARLIER_DIM)):
            raise CheckpointError("it is of another configuration or embedding space")
        if checkpoint.log != self.log:
            raise CheckpointError("it is of another log")
        try:
            self._costs.lengths.load(part("lengths", checkpoint.fields))
            self.reliability.load(part("reliability", checkpoint.fields))
            self._revisions.load(part("revisions", checkpoint.fields))
            for index, policy in enumerate(self._distinct):
                policy.load(part(f"policy{index}", checkpoint.fields))
        except FieldsError as error:
            raise CheckpointError(f"it holds other statistics ({error})") from error
        self.sequence = checkpoint.sequence

    def take_over(self, checkpoint: Checkpoint) -> None:
        """Begin with what one of the same family knows of the models and policies that are configured here. The fold isn't whole then:
        of new ones the events so far may tell something.

        Raises:
            CheckpointError: it is of another log or family, or damaged. The fold must not be used then.
        """
        if checkpoint.log != self.log or checkpoint.family != self.family:
            raise CheckpointError("it is of another log or embedding space")
        fields, configured = checkpoint.fields, {model.name: model for model in self.config.models}
        try:
            roster = orjson.loads(taken(fields, "roster", -1).tobytes())
            lengths = OutputLengths(roster["arms"], self._tasks)
            lengths.load(part("lengths", fields))
            self._costs.lengths.adopt(lengths)
            self.reliability.load(part("reliability", fields))
            self._revisions.load(part("revisions", fields))
            gone = self.config.models[0]  # stands for those that aren't configured any more
            models = [configured.get(name) or gone.model_copy(update={"name": name}) for name in roster["arms"]]
            for name, config in self._named.items():
                index, learned_by = roster["policies"].get(name, (0, "{}"))
                if not isinstance(config, LearningPolicyConfig):
                    continue  # a table may name models that this checkpoint doesn't know, and learns nothing
                if _evidence_of(learned_by) == _evidence_of(self._policies[name].learned_by):
                    before = build_policy(config, models, default=models[0].name, space=self.space, tasks=self._tasks)
                    before.load(part(f"policy{index}", fields))
                    self._policies[name].adopt(before)
        except (FieldsError, ValueError, LookupError, TypeError) as error:
            raise CheckpointError(f"it can't be taken over ({error})") from error
        self.sequence, self.whole = checkpoint.sequence, False

    def _roster(self) -> dict[str, Any]:
        """Whose statistics a checkpoint holds: arms, and by policy its place and what it learns by."""
        places = {id(policy): place for place, policy in enumerate(self._distinct)}
        policies = {name: (places[id(policy)], policy.learned_by) for name, policy in self._policies.items()}
        return {"arms": self.config.names, "policies": policies}

    def pass_over(self, sequence: int) -> None:
        """Begin behind an event, or where the fold is: those up to it can't be read."""
        self.sequence, self.lacks, self.whole = max(self.sequence, sequence), sequence, False

    def fold(self, events: Sequence[LearningEvent] | Observations) -> None:
        """Take in the next events of the log, in order. Those of other spaces and of removed arms are passed over."""
        if not len(events):
            return
        seen = events if isinstance(events, Observations) else Observations.of(events)
        self.sequence = int(seen.sequences[-1])
        arms = seen.arms.places(self._arms)
        known = (arms >= 0) & self._usable(seen)
        seen, arms = seen.where(known), arms[known]
        if not len(seen):
            return
        batch = self._batch(seen, arms)
        for replaced, run in self._revisions.runs(seen.arms, seen.revisions):
            for policy in self._distinct:
                if replaced:
                    policy.replaced(self._arms[replaced])
                policy.update_many(batch.where(run))
        self._costs.lengths.observe_many(arms, seen.tasks, seen.output_tokens)

    def _batch(self, seen: Observations, arms: NDArray[np.intp]) -> Batch:
        """What policies learn of observations that can be used."""
        contexts = widened(seen.contexts)
        if self._map is not None:
            foreign = seen.spaces == self._map.source
            if foreign.any():
                contexts = contexts.copy()
                contexts[foreign] = self._map.apply(contexts[foreign])
        qualities, weights = self.reliability.scores(seen)
        prompts = np.where(np.isnan(seen.completion_tokens), prompt_tokens_of(contexts), 0.0)
        charges = self._costs.charges(arms, seen.completion_tokens, seen.reasoning_tokens, seen.costs, prompts)
        return Batch(contexts, arms, qualities, charges, seen.at, weights)

    def adopt(self, other: Fold) -> bool:
        """Take over what `other` has learned; False if the log has more to tell (of a new arm or policy)."""
        self.sequence, self.log, self.lacks = other.sequence, other.log, other.lacks
        self.whole = other.whole and other.key == self.key
        self._costs.lengths.adopt(other._costs.lengths)
        self.reliability.adopt(other.reliability)
        self._revisions.adopt(other._revisions)
        complete = other.space == self.space and set(self._arms) <= set(other._arms)
        for name, policy in self._policies.items():
            before = other._policies.get(name)
            complete &= before is not None and policy.adopt(before)
        return complete

    def keep_controls(self, other: Fold) -> None:
        """Go on with the budget and the shares so far of a fold of the same configuration: the log doesn't hold them."""
        for name, policy in self._policies.items():
            policy.reward, policy.shares = other._policies[name].reward, other._policies[name].shares

    def view(self) -> View:
        snapshots = {id(policy): policy.snapshot() for policy in self._distinct}
        return View(
            config=self.config,
            space=self.space,
            sequence=self.sequence,
            policies=MappingProxyType({name: snapshots[id(policy)] for name, policy in self._policies.items()}),
            costs=self._costs,
            agreements=MappingProxyType(self.reliability.agreements()),
        )

    def _usable(self, seen: Observations) -> NDArray[np.bool_]:
        known = seen.spaces == self.space
        if self._map is not None:
            known |= seen.spaces == self._map.source
        return np.asarray(known & np.isin(seen.lengths, (CONTEXT_DIM, EARLIER_DIM)))


def _digest(settings: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _evidence_of(learned_by: str) -> dict[str, Any]:
    """What evidence depends on: where a policy begins (a prior, a table) is its own."""
    return {name: value for name, value in json.loads(learned_by).items() if name not in ("prior", "table")}
