"""What of an identity a browser can be started with. `keeper.py` has the rest. Pure."""

from dataclasses import replace

from browser_pool.command_line import accept_language
from browser_pool.spec import LaunchSpec, Mode
from gateway.records import Identity


def launch(identity: Identity | None, spec: LaunchSpec) -> LaunchSpec:
    """`spec` with what flags and TZ can do of `identity`: they hold in every process from its first moment."""
    if identity is None:
        return spec
    spec = replace(
        spec,
        user_agent=identity.user_agent or spec.user_agent,
        locale=identity.locale or spec.locale,
        timezone=identity.timezone or spec.timezone,
        viewport=identity.viewport or spec.viewport,
        device_scale_factor=identity.device_scale_factor or spec.device_scale_factor,
    )
    if spec.mode is Mode.SHELL and identity.locale is not None:
        # The shell sends its flag's text as it is; the weights are those that it sends for a page under our override.
        languages = accept_language(identity.locale)
        spec = replace(spec, args=(*spec.args, f"--accept-lang={weighted(languages)}"))
    return spec


def weighted(languages: str) -> str:
    """`de-DE,de` to `de-DE,de;q=0.9`, as Chromium weights the languages of its Accept-Language."""
    parts = languages.split(",")
    return ",".join(part if i == 0 else f"{part};q={1 - i / 10:.1f}" for i, part in enumerate(parts))
