"""An AWS account on this machine, by the emulator `ministack`, and what is there before the first deploy."""

import base64
import json
import os
import platform
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]
import trustme

from dev.database.postgres import free_port, listens, within
from dev.local import ROOT
from tests.postgres import as_role, execute

PYTHON = os.environ.get("MINISTACK_PYTHON", "")
KEEP = bool(os.environ.get("KEEP"))
START_SECONDS = 30
REGION = "eu-central-1"
STACK, DATABASE = "token-bundles-admin", "token_bundles"
ROLE = ROOT / "docs/deploy-role.yaml"
REPOSITORY, GITHUB = "example/token-bundles", "token.actions.githubusercontent.com"


@dataclass
class Account:
    """The account, as one of its principals."""

    endpoint: str
    authority: str
    # The account's root, of whom the emulator wants no signature.
    key: str = "test"
    secret: str = "test"  # noqa: S105 - no secret
    token: str = ""

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment in which the CLIs of AWS and SAM reach this account, and no other."""
        credentials = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            **({"AWS_SESSION_TOKEN": self.token} if self.token else {}),
        }
        files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        reached = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CA_BUNDLE": self.authority,
            "AWS_DEFAULT_REGION": REGION,
        }
        return reached | credentials | files

    def client(self, service: str) -> Any:
        """Make boto3's client of a service."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            verify=self.authority,
            region_name=REGION,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            aws_session_token=self.token or None,
        )

    def as_github(self, role: str, subject: str) -> "Account":
        """Take a role as a job of GitHub does, whose token has the subject."""
        claims = {"iss": f"https://{GITHUB}", "aud": "sts.amazonaws.com", "sub": subject}
        parts = ({"alg": "none"}, claims)
        encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        taken = self.client("sts").assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="deploy", WebIdentityToken=".".join([*encoded, ""])
        )["Credentials"]
        key, secret, token = (taken[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
        return Account(self.endpoint, self.authority, key, secret, token)


@contextmanager
def emulated(folder: Path) -> Iterator[Account]:
    """Run the emulator until the block ends, with its log and all it keeps in a folder."""
    port = free_port()
    # The bucket of the SAM CLI refuses what is not encrypted.
    endpoint = f"https://127.0.0.1:{port}"
    authority, certificate, key = (folder / name for name in ("authority.pem", "certificate.pem", "key.pem"))
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(authority)
    issued = issuer.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    temporary = folder / "temporary"
    temporary.mkdir()
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(certificate),
        "MINISTACK_SSL_KEY": str(key),
        # The functions have these from the emulator.
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CA_BUNDLE": str(authority),
        "SSL_CERT_FILE": str(authority),
        # Permissions are checked.
        "AUTH": "true",
        # It would listen on a port of its own.
        "IOT_MTLS_ENABLED": "false",
    }
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "ministack"], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            within(START_SECONDS, lambda: process.poll() is not None or listens(endpoint))
            if not listens(endpoint):
                raise ChildProcessError(f"ministack did not start: see {log.name}")
            yield Account(endpoint, str(authority))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def prepare(account: Account, server_url: str) -> tuple[str, dict[str, str]]:
    """Do what docs/runbook.md wants before a first deploy; return the database's URL, and the parameters."""
    server = urlsplit(server_url)
    execute(server_url, f"CREATE DATABASE {DATABASE}")
    url = server._replace(path=f"/{DATABASE}").geturl()
    execute(url, (ROOT / "migrations/roles.sql").read_text())

    ec2, secrets = account.client("ec2"), account.client("secretsmanager")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    blocks = ("10.0.1.0/24", "10.0.2.0/24")
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"] for block in blocks]
    group = ec2.create_security_group(GroupName="functions", Description="Functions", VpcId=vpc)["GroupId"]
    topic = account.client("sns").create_topic(Name="alarms")["TopicArn"]

    def secret(role: str) -> str:
        password = urlsplit(as_role(url, role)).password
        created = secrets.create_secret(Name=role, SecretString=json.dumps({"password": password}))
        return str(created["ARN"])

    return url, {
        "Architecture": "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64",
        "JwtIssuer": "https://issuer.example",
        "JwtAudience": "token-bundles",
        "AllowedOrigins": "https://admin.example,https://shop.example",
        "SubnetIds": ",".join(subnets),
        "SecurityGroupIds": group,
        "DatabaseHost": str(server.hostname),
        "MigrationDatabaseHost": str(server.hostname),
        "DatabasePort": str(server.port),
        "DatabaseAuth": "secret",
        "DatabaseSecretArn": secret("token_bundles_api"),
        "MigrationDatabaseSecretArn": secret("token_bundles_migrator"),
        "AlarmTopicArn": topic,
    }


def deploy_role(account: Account) -> str:
    """Make the role of docs/deploy-role.yaml, and return its ARN."""
    account.client("iam").create_open_id_connect_provider(
        Url=f"https://{GITHUB}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=[]
    )
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(
        StackName="deploy-role",
        TemplateBody=ROLE.read_text(),
        Parameters=[{"ParameterKey": "Repository", "ParameterValue": REPOSITORY}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="deploy-role", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    (stack,) = cloudformation.describe_stacks(StackName="deploy-role")["Stacks"]
    return str(stack["Outputs"][0]["OutputValue"])
