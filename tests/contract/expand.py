"""Expands packaged templates as AWS does, with the SAM CLI's own Python: JSON comes in, and JSON goes out."""

import json
import sys
from functools import cache
from typing import Any

from samcli.cli.types import CfnParameterOverridesType
from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions
from samcli.lib.intrinsic_resolver.intrinsics_symbol_table import IntrinsicsSymbolTable
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


def expanded(template: str, places: dict[str, str], parameters: str) -> dict[str, Any]:
    """Expand a template whose artifacts have been put into places, with the parameters of a file."""
    document = parsed(template)
    for name, place in places.items():
        resource = document["Resources"][name]
        uri = "ContentUri" if resource["Type"] == "AWS::Serverless::LayerVersion" else "CodeUri"
        resource["Properties"][uri] = place
    given = CfnParameterOverridesType().convert((f"file://{parameters}",), None, None)
    known = IntrinsicsSymbolTable.DEFAULT_PSEUDO_PARAM_VALUES | given
    unrolled = expand_language_extensions(document, known, enabled=True).expanded_template
    return {"resources": transform(unrolled, dict(given), None)["Resources"], "parameters": given}


parsed = cache(yaml_parse)
json.dump([expanded(**packaged) for packaged in json.load(sys.stdin)], sys.stdout)
