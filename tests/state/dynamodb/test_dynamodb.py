"""What is particular to the table: its making, its identity, its items' limits, and writers that are in each other's way."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from router_backend.state.dynamodb.client import Cancelled, DynamoClient, parse_address
from router_backend.state.dynamodb.store import DynamoDBStore
from router_backend.state.open import open_store
from router_backend.state.store import StoreError, StoreMisconfigured, StoreReplaced
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.support.dynamodb_server import DynamoDBServer
from tests.support.running import free_port

DAY = 86_400.0


@pytest.fixture
def admin(dynamodb_server: DynamoDBServer, dynamodb_url: str) -> Any:
    return botocore.session.get_session().create_client(
        "dynamodb", region_name="eu-central-1", endpoint_url=f"http://127.0.0.1:{dynamodb_server.port}"
    )


@pytest.fixture
def store(dynamodb_url: str) -> Iterator[DynamoDBStore]:
    store = DynamoDBStore(dynamodb_url)
    yield store
    store.close()


@pytest.fixture
def checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the time between two examinations never passed: only the write itself can notice."""
    monkeypatch.setattr("router_backend.state.dynamodb.client._CHECK_SECONDS", 1e9)


def table_of(url: str) -> str:
    return parse_address(url).table


def test_a_table_is_made_on_demand_and_forgets_by_itself(store: DynamoDBStore, dynamodb_url: str, admin: Any) -> None:
    table = table_of(dynamodb_url)
    described = admin.describe_table(TableName=table)["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    ttl = admin.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expires")
    decision = make_decision(0)
    store.append([decision], [make_outcome(decision, key="app", cost=0.5)])
    store.add_feedback(make_feedback(decision))
    kept = admin.scan(TableName=table)["Items"]
    expiry = {item["sk"]["S"]: float(item["expires"]["N"]) - decision.created for item in kept if "expires" in item}
    assert all(90 * DAY - 2 < expiry[kind] <= 90 * DAY + 3 for kind in ("decision", "outcome", "feedback"))
    assert [expiry[name] // DAY for name in expiry if name.startswith("app#")] == [40]
    assert not any("expires" in item for item in kept if item["pk"]["S"] in ("log", "store", "tally"))


def test_what_has_expired_is_passed_over_until_it_is_removed(dynamodb_url: str) -> None:
    store = open_store(dynamodb_url, Path(), retention_days=1)
    old = make_decision(0, created=time.time() - 2 * DAY)
    store.append([old], [make_outcome(old)])
    assert (store.decision(old.decision_id), store.outcome(old.decision_id)) == (None, None)
    with pytest.raises(KeyError):
        store.add_feedback(make_feedback(old))
    assert not [record for record in store.archive().records() if record == old]
    store.close()


@pytest.mark.usefixtures("checked_once")
@pytest.mark.parametrize("again", [False, True])
def test_a_table_that_was_removed_is_an_alarm_and_takes_nothing(
    store: DynamoDBStore, dynamodb_url: str, admin: Any, again: bool
) -> None:
    decision = make_decision(0)
    store.append([decision], [])
    admin.delete_table(TableName=table_of(dynamodb_url))
    if again:
        DynamoDBStore(dynamodb_url).close()  # as a router that was restarted
    with pytest.raises(StoreReplaced):
        store.append([make_decision(1)], [])
    with pytest.raises(StoreReplaced):
        store.add_feedback(make_feedback(decision))
    with pytest.raises(StoreReplaced):
        store.events(0)


def test_another_table_and_a_newer_store_are_refused(dynamodb_url: str, admin: Any) -> None:
    table = table_of(dynamodb_url)
    admin.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "song", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "song", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(StoreMisconfigured, match="name another table"):
        DynamoDBStore(dynamodb_url)
    admin.delete_table(TableName=table)
    DynamoDBStore(dynamodb_url).close()
    admin.update_item(
        TableName=table,
        Key={"pk": {"S": "store"}, "sk": {"S": "identity"}},
        UpdateExpression="SET #schema = :newer",
        ExpressionAttributeNames={"#schema": "schema"},
        ExpressionAttributeValues={":newer": {"N": "99"}},
    )
    with pytest.raises(StoreMisconfigured, match=r"newer llm-router \(state schema 99"):
        DynamoDBStore(dynamodb_url)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("dynamodb://", "no name of a table"),
        ("dynamodb://table/path?region=eu-west-1", "no name of a table"),
        ("dynamodb://table?zone=eu-west-1", "unknown zone"),
        ("dynamodb://table?region=eu-west-1&idle_seconds=0", "from 0.05 to 60"),
        ("dynamodb://table?region=eu-west-1&idle_seconds=soon", "from 0.05 to 60"),
        ("dynamodb://table", "names no region"),
    ],
)
def test_a_url_that_cannot_be_read_says_so(url: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(StoreMisconfigured, match=complaint):
        DynamoDBStore(url)


def test_a_router_starts_without_an_answer_and_says_what_to_check(dynamodb_url: str) -> None:
    away = f"dynamodb://table?region=eu-central-1&endpoint=http://127.0.0.1:{free_port()}"
    store = DynamoDBStore(away, timeout=0.5)
    with pytest.raises(StoreError, match="no answer; check region, endpoint and network"):
        store.append([make_decision(0)], [])


def test_missing_credentials_are_said(dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(StoreError, match="give the pod or machine a role"):
        DynamoDBStore(dynamodb_url).counts()


def test_a_page_that_is_seen_before_its_predecessor_waits_for_it(
    store: DynamoDBStore, dynamodb_url: str, admin: Any
) -> None:
    """Queries see a transaction's items one by one."""
    table, decisions = table_of(dynamodb_url), [make_decision(number) for number in range(6)]
    store.append(decisions, [make_outcome(decision) for decision in decisions])
    for start in (0, 2, 4):
        store.add_feedback_many([make_feedback(decision) for decision in decisions[start : start + 2]])
    key = {"pk": {"S": "log"}, "sk": {"S": f"{4:020d}"}}
    page = admin.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")["Attributes"]
    assert [event.sequence for event in store.events(0)] == [1, 2]
    assert store.events(2) == []
    admin.put_item(TableName=table, Item=page)
    assert [event.sequence for event in store.events(2)] == [3, 4, 5, 6]
    assert [event.sequence for event in store.events(3, 2)] == [4, 5]


def test_a_write_that_others_were_in_the_way_of_is_done_again_and_counts_once(
    store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    decisions = [make_decision(number) for number in range(40)]  # more than a transaction
    transact, refused = DynamoClient.transact, []

    def conflicting(client: DynamoClient, actions: list[Any]) -> None:
        if len(refused) % 2 == 0:
            refused.append(len(actions))
            raise Cancelled(["TransactionConflict"] + ["None"] * (len(actions) - 1))
        refused.append(0)
        transact(client, actions)

    monkeypatch.setattr(DynamoClient, "transact", conflicting)
    outcomes = [make_outcome(decision, key=f"key {number}", cost=0.5) for number, decision in enumerate(decisions)]
    store.append(decisions, outcomes)
    assert not any(result.duplicate for result in store.add_feedback_many([make_feedback(d) for d in decisions]))  # type: ignore[union-attr]
    assert max(refused) <= 100
    assert [event.sequence for event in store.events(0)] == list(range(1, 41))
    assert sum(count["feedback"] for count in store.counts().values()) == 40


def test_writers_that_never_get_through_are_told_to_come_later(
    store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflicting(client: DynamoClient, actions: list[Any]) -> None:
        raise Cancelled(["TransactionConflict"])

    monkeypatch.setattr(DynamoClient, "transact", conflicting)
    monkeypatch.setattr("router_backend.state.dynamodb.client._CONFLICT_SECONDS", 0.1)
    with pytest.raises(StoreError, match="too many writers at once"):
        store.append([make_decision(0)], [])


def test_a_checkpoint_of_any_size_is_kept_with_the_one_before_it(
    store: DynamoDBStore, dynamodb_url: str, admin: Any
) -> None:
    log = store.log()
    first, second, third = (bytes([number]) * size for number, size in ((1, 1_000_000), (2, 10), (3, 700_001)))
    assert store.save_checkpoint("key", log, 5, first)
    assert store.save_checkpoint("key", log, 7, second)
    assert store.checkpoints("key") == [second, first]
    assert not store.save_checkpoint("key", log, 6, first)
    assert not store.save_checkpoint("key", "another log", 9, third)
    assert store.save_checkpoint("key", log, 9, third)
    assert store.checkpoints("key") == [third, second]
    sizes = [len(str(item)) for item in admin.scan(TableName=table_of(dynamodb_url))["Items"]]
    assert len(sizes) < 12
    store.archive().clear()
    assert store.checkpoints("key") == []


def test_a_lease_is_one_holders_until_it_ends(store: DynamoDBStore) -> None:
    assert store.claim("checkpoint", "a", 60)
    assert store.claim("checkpoint", "a", 60)
    assert not store.claim("checkpoint", "b", 60)
    assert store.claim("other", "b", 0)
    assert store.claim("other", "a", 60)


def test_shards_are_summed(dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = iter(range(16))
    monkeypatch.setattr("random.randrange", lambda limit: next(shards))
    stores = [DynamoDBStore(dynamodb_url) for _ in range(3)]
    for number, store in enumerate(stores):
        decision = make_decision(0)
        outcome = make_outcome(decision, key="team#1", cost=0.25)
        store.append([decision], [outcome, replace(outcome, decision_id=str(uuid.uuid4()))])
        store.add_feedback(make_feedback(decision))
        assert store.counts() == {"small": {"decisions": number + 1, "feedback": number + 1}}
    month = time.strftime("%Y-%m", time.gmtime(decision.created + 1))
    assert stores[0].spend(month) == {"team#1": 1.5}
    for store in stores:
        store.close()


def test_looks_at_a_table_are_paid_so_a_router_that_waits_looks_rarely(dynamodb_url: str) -> None:
    plain, patient = DynamoDBStore(dynamodb_url), DynamoDBStore(f"{dynamodb_url}&idle_seconds=10")
    assert (plain.idle_seconds, patient.idle_seconds) == (1.0, 10.0)
    plain.close()
    patient.close()


def test_an_archiver_waits_until_every_writer_notes_what_it_writes(
    store: DynamoDBStore, dynamodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that doesn't know yet writes without a note: what it wrote is found by the first look at everything."""
    late = DynamoDBStore(dynamodb_url)
    decisions = [make_decision(number) for number in range(3)]
    store.append(decisions[:1], [])
    assert store.outbox().behind() > 1e5  # nobody has been there
    assert not store.outbox().take(100).records
    assert not late._client.archives
    late._append(decisions[1:2])
    monkeypatch.setattr("router_backend.state.dynamodb.outbox.KNOWN_SECONDS", -1.0)
    store.append(decisions[2:], [])
    found = {record.decision_id for record in store.outbox().take(100).records}  # type: ignore[union-attr]
    assert found == {decision.decision_id for decision in decisions}
    late.close()


def test_botocore_is_asked_for_where_it_is_missing() -> None:
    # In a process of its own: the package is imported already in this one.
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.modules['botocore.session'] = None\n"
        "from router_backend.state.open import open_store\n"
        "from router_backend.state.store import StoreMisconfigured\n"
        "try:\n"
        "    open_store('dynamodb://table?region=eu-central-1', Path())\n"
        "except StoreMisconfigured as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "-m pip install 'triton-llm-router[aws]'" in done.stdout
