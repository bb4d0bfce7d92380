"""All that a server is to hold, one kind after the other: each needs those before it."""

from collections.abc import Sequence
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient

from flows.deploy import automations, deployments, pools
from flows.deploy.change import Change
from flows.deploy.declared import limits, read


def bring_up_to_date(
    client: SyncPrefectClient,
    checkout: Path,
    catalogs: Sequence[str],
    repository: str,
    pool_type: str = pools.PROCESS,
    notify: str | None = None,
    prune: bool = False,
) -> list[Change]:
    """Make, change and, if asked, remove until the server holds what `prefect.yaml` of the checkout says.

    Args:
        client: of the server.
        checkout: with prefect.yaml and infra/pools.
        catalogs: names of those of params.yaml.
        repository: git URL, a parameter of every deployment.
        pool_type: `process`, or a base job template of infra/pools.
        notify: block for messages, `type/name`.
        prune: remove what is no longer declared.

    Raises:
        ParamsError: prefect.yaml is not valid.
        ServiceError: a block or a template is missing, or a pool is of another type.
    """
    declared = read(checkout / "prefect.yaml")
    flows = {f"{deployments.load(one).name}/{one.name}": one for one in declared.deployments}
    block = automations.block(client, notify) if notify else None
    changes = pools.ensure_pools(client, declared.pools, pool_type, checkout / "infra" / "pools")
    changes += pools.ensure_limits(client, limits(declared, list(catalogs)))
    made, identifiers = deployments.ensure(client, declared, repository)
    wanted = [*automations.after_events(flows, identifiers), *automations.watches(declared.watch, block)]
    changes += made + automations.ensure(client, wanted)
    state = "removed" if prune else "not declared"
    names = {automation.name for automation in wanted}
    for name, there in automations.mine(client).items():
        if name not in names:
            if prune:
                client.delete_automation(there.id)
            changes.append(Change("automation", name, state))  # type: ignore[arg-type]
    for name, identifier in deployments.undeclared(client, list(flows)).items():
        if prune:
            client.delete_deployment(identifier)
        changes.append(Change("deployment", name, state))  # type: ignore[arg-type]
    return changes
