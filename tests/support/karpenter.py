"""The fields of Karpenter's EC2NodeClass (karpenter.k8s.aws/v1) that module `eks` sets; npm's schemas have NodePool alone.

Compared (`python -m tests.support.crds`) with pkg/apis/crds of https://github.com/aws/karpenter-provider-aws at v1.14.1, whose SHA-256
begins with 62dec59f01c0972d.
"""

from __future__ import annotations

from tests.support.crds import Table

_TERM = "tags:labels"
KARPENTER: Table = {
    "EC2NodeClass": "amiSelectorTerms!:[object] associatePublicIPAddress:bool blockDeviceMappings:[object] metadataOptions:object role"
    " securityGroupSelectorTerms!:[object] subnetSelectorTerms!:[object] tags:labels",
    "EC2NodeClass.amiSelectorTerms[]": "alias:$alias",
    "EC2NodeClass.blockDeviceMappings[]": "deviceName ebs:object rootVolume:bool",
    "EC2NodeClass.blockDeviceMappings[].ebs": "deleteOnTermination:bool encrypted:bool iops:int kmsKeyID throughput:int"
    " volumeSize:$volume volumeType:standard|io1|io2|gp2|sc1|st1|gp3",
    "EC2NodeClass.metadataOptions": "httpEndpoint:enabled|disabled httpPutResponseHopLimit:int(1..64) httpTokens:required|optional",
    "EC2NodeClass.securityGroupSelectorTerms[]": _TERM,
    "EC2NodeClass.subnetSelectorTerms[]": _TERM,
}
