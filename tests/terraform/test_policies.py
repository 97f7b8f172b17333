"""Slow: who may do what, what is encrypted and what is public, on the applied state of the three sizes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.terraform.running import SIZES, Applied

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("size", SIZES)]
Example = Callable[[str], Applied]

# Actions for which AWS knows no resource, or which a condition narrows: by the service.
WITHOUT_RESOURCE = re.compile(
    r"ecr:GetAuthorizationToken|ce:GetCostAndUsage|xray:Put\w+|ec2:Describe\w+|ec2:Get\w+|elasticloadbalancing:Describe\*"
    r"|acm:(List|Describe)\w+|iam:(List|GetServerCertificate)\w*|pricing:GetProducts"
    r"|logs:(\w+LogDelivery|ListLogDeliveries|PutResourcePolicy|DescribeResourcePolicies|DescribeLogGroups)"
)
MANAGED = re.compile(
    r"AWSXRayDaemonWriteAccess|AmazonEKS(ClusterPolicy|WorkerNodePolicy|_CNI_Policy)|AmazonEC2ContainerRegistryPullOnly"
    r"|AmazonSSMManagedInstanceCore|AmazonEBSCSIDriverPolicyV2|CloudWatchAgentServerPolicy"
)


def statements(made: Applied, kind: str, key: str = "policy") -> Iterator[dict[str, Any]]:
    for values in made.of(kind):
        yield from json.loads(values[key])["Statement"]


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_roles_may_do_what_they_need(example: Example, size: str) -> None:
    found = list(statements(example(size), "aws_iam_role_policy"))
    assert len(found) > 5
    for statement in found:
        assert statement["Effect"] == "Allow"
        for action in listed(statement["Action"]):
            if action == "elasticloadbalancing:Describe*":
                continue
            assert "*" not in action, statement
            if "*" in listed(statement["Resource"]):
                assert WITHOUT_RESOURCE.fullmatch(action), (action, statement["Sid"])


def test_no_role_may_change_rights_or_read_all_data(example: Example, size: str) -> None:
    forbidden = re.compile(
        r"iam:(Put|Attach|CreateUser|CreateRole|CreateAccessKey|UpdateAssume)\w*|dynamodb:(Scan|DeleteTable|UpdateTable)|sts:\w+"
    )
    for statement in statements(example(size), "aws_iam_role_policy"):
        for action in listed(statement["Action"]):
            assert not forbidden.fullmatch(action), action


def test_the_table_is_the_routers_alone(example: Example, size: str) -> None:
    made = example(size)
    (table,) = made.of("aws_dynamodb_table")
    users = {
        policy["role"]
        for policy in made.of("aws_iam_role_policy")
        if any(
            action.startswith("dynamodb:")
            for each in json.loads(policy["policy"])["Statement"]
            for action in listed(each["Action"])
        )
    }
    assert len(users) == 1
    for statement in statements(made, "aws_iam_role_policy"):
        if any(action.startswith("dynamodb:") for action in listed(statement["Action"])):
            assert listed(statement["Resource"]) == [table["arn"]]


def test_roles_are_taken_by_one_service_each(example: Example, size: str) -> None:
    for statement in statements(example(size), "aws_iam_role", "assume_role_policy"):
        assert list(statement["Principal"]) == ["Service"]
        assert len(listed(statement["Principal"]["Service"])) == 1


def test_policies_of_aws_are_the_ones_of_the_list(example: Example, size: str) -> None:
    for attachment in example(size).of("aws_iam_role_policy_attachment"):
        assert MANAGED.fullmatch(attachment["policy_arn"].rpartition("/")[2]), attachment["policy_arn"]


def test_what_others_are_allowed_is_bound_to_this_account(example: Example, size: str) -> None:
    made = example(size)
    found = [
        *statements(made, "aws_kms_key"),
        *statements(made, "aws_sns_topic_policy"),
        *statements(made, "aws_sqs_queue_policy"),
    ]
    for statement in found:
        if statement["Effect"] == "Deny" or statement.get("Sid") == "AccountByIam":
            continue
        assert list(statement["Principal"]) == ["Service"]
        assert "111122223333" in json.dumps(statement["Condition"])
    for permission in made.of("aws_lambda_permission"):
        assert permission["principal"] != "*"
        assert permission["source_arn"]


def test_everything_kept_is_encrypted(example: Example, size: str) -> None:
    made = example(size)
    (key,) = made.of("aws_kms_key")
    assert key["enable_key_rotation"]
    for group in made.of("aws_cloudwatch_log_group"):
        assert group["kms_key_id"] == key["arn"]
        assert group["retention_in_days"] >= 365
    for table in made.of("aws_dynamodb_table"):
        assert table["server_side_encryption"] == [{"enabled": True, "kms_key_arn": key["arn"]}]
        assert table["point_in_time_recovery"][0]["enabled"]
        assert table["deletion_protection_enabled"]
    for parameter in made.of("aws_ssm_parameter"):
        assert parameter["type"] == "SecureString"
        assert parameter["key_id"] == key["arn"]
    for repository in made.of("aws_ecr_repository"):
        assert repository["encryption_configuration"][0]["kms_key"] == key["arn"]
    for template in made.of("aws_launch_template"):
        assert all(disk["encrypted"] for mapping in template["block_device_mappings"] for disk in mapping["ebs"])
        assert template["metadata_options"][0]["http_tokens"] == "required"
    for cluster in made.of("aws_eks_cluster"):
        assert cluster["encryption_config"][0]["provider"][0]["key_arn"] == key["arn"]


def test_the_bucket_of_batches_is_private_encrypted_and_forgets(example: Example, size: str) -> None:
    made = example(size)
    buckets = made.of("aws_s3_bucket")
    assert len(buckets) == (size != "small")  # a frozen function works on no batches
    (key,) = made.of("aws_kms_key")
    for bucket in buckets:
        assert not bucket["force_destroy"]
        (block,) = made.of("aws_s3_bucket_public_access_block")
        assert all(block[name] for name in block if name.startswith(("block_", "ignore_", "restrict_")))
        (encryption,) = made.of("aws_s3_bucket_server_side_encryption_configuration")
        (by,) = encryption["rule"][0]["apply_server_side_encryption_by_default"]
        assert (by["sse_algorithm"], by["kms_master_key_id"]) == ("aws:kms", key["arn"])
        (rule,) = made.of("aws_s3_bucket_lifecycle_configuration")[0]["rule"]
        # Clients may ask for 30 days, and a batch reads its file for one more.
        assert rule["expiration"][0]["days"] >= 32
        assert rule["abort_incomplete_multipart_upload"][0]["days_after_initiation"] == 1
        (refused,) = statements(made, "aws_s3_bucket_policy")
        assert (refused["Effect"], refused["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_only_the_router_reads_batches(example: Example, size: str) -> None:
    made = example(size)
    (router,) = {policy["role"] for policy in made.of("aws_iam_role_policy") if "dynamodb:Query" in policy["policy"]}
    for policy in made.of("aws_iam_role_policy"):
        for statement in json.loads(policy["policy"])["Statement"]:
            if any(action.startswith("s3:") for action in listed(statement["Action"])):
                assert policy["role"] == router
                (bucket,) = made.of("aws_s3_bucket")
                arn = f"arn:aws:s3:::{bucket['bucket']}"
                assert set(listed(statement["Resource"])) <= {arn, f"{arn}/batches/*"}
                if arn in listed(statement["Resource"]):
                    assert statement["Action"] == ["s3:ListBucket"]
                    assert statement["Condition"] == {"StringLike": {"s3:prefix": ["batches/*"]}}


def test_nothing_is_public_but_the_way_in(example: Example, size: str) -> None:
    made = example(size)
    for rule in made.of("aws_vpc_security_group_ingress_rule"):
        assert rule["cidr_ipv4"] != "0.0.0.0/0", rule
    assert all(not service["network_configuration"][0]["assign_public_ip"] for service in made.of("aws_ecs_service"))
    assert all(balancer["internal"] for balancer in made.of("aws_lb"))
    assert all(listener["protocol"] == "HTTPS" for listener in made.of("aws_lb_listener"))
    assert all(not subnet["map_public_ip_on_launch"] for subnet in made.of("aws_subnet"))
    assert all(not cluster["vpc_config"][0]["endpoint_public_access"] for cluster in made.of("aws_eks_cluster"))
    assert not made.of("aws_lambda_function_url")


def test_everything_is_tagged_for_the_bill(example: Example, size: str) -> None:
    provider = example(size).plan["configuration"]["provider_config"]["aws"]["expressions"]
    assert "local.tags" in json.dumps(provider["default_tags"])
    for budget in example(size).of("aws_budgets_budget"):
        assert {"name": "TagKeyValue", "values": ["user:deployment$llm-router"]} in budget["cost_filter"]
