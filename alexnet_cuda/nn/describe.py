"""A placed net as text: what runs where, what memory it takes, and what crosses in a training step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .graph import Graph
    from .nodes import Transfer


def describe(graph: Graph) -> str:
    """One line a layer, then the memory table and the transfer table with their totals."""
    net, names = graph.net, [device.name for device in graph.devices]
    where = f"on {names[0]}" if len(names) == 1 else f"tower 0 on {names[0]}, tower 1 on {names[1]}"
    lines = [f"{net.name}: {net.parameter_count:,} parameters, batch {graph.batch}, {graph.precision.name}, {where}"]
    for place, parts in zip(net.places, graph.parts, strict=True):
        shape = "x".join(str(size) for size in place.output)
        share = "x".join(str(size) for size in parts[0].y.shape[:-1])
        devices = ", ".join(graph.device_of(part).name for part in parts)
        split = f" as {share}" if share != shape else ""
        update = ", updates with its gradient" if any(part.fused_update for part in parts) else ""
        lines.append(f"  {place.layer.name:10s} {shape:>12s} on {devices}{split}{update}")
    lines += ["", *_memory_lines(graph.memory, names), "", *_transfer_lines(graph.transfers, len(names))]
    return "\n".join(lines)


def _memory_lines(memory: dict[str, list[int]], devices: list[str]) -> list[str]:
    rows = [*memory.items(), ("total", [sum(column) for column in zip(*memory.values(), strict=True)])]
    width = max(len(kind) for kind, _ in rows)
    lines = [f"Bytes on {' and on '.join(devices)}:"]
    return lines + [f"  {kind:{width}s} {' '.join(f'{count:>15,}' for count in counts)}" for kind, counts in rows]


def _transfer_lines(transfers: list[Transfer], devices: int) -> list[str]:
    if not transfers:
        why = "both towers are" if devices == 1 else "the net is"
        return [f"Nothing crosses between devices: {why} on one."]
    width = max(len(transfer.tensor) for transfer in transfers)
    lines = [f"Crosses between the devices in each step ({'tensor':{width}s}, bytes, from, to):"]
    for transfer in transfers:
        lines.append(f"  {transfer.tensor:{width}s} {transfer.bytes:>13,}  {transfer.source} -> {transfer.target}")
    lines.append(f"  {'total':{width}s} {sum(transfer.bytes for transfer in transfers):>13,}")
    lines.append("Images, labels, the step number and whether the loss was finite come from the host.")
    return lines
