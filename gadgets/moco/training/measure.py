"""What the network gets right on unseen series: end-point errors in the heart's wall, frame by frame."""

import numpy as np
import torch
from torch.nn import functional as F


def run(model, data, case):
    """Displacement of a whole series at full resolution, `[frame, 2, y, x]`."""
    frames = torch.from_numpy(data.frames[case].astype(np.float32)).unsqueeze(1)
    reference = int(data.reference[case])
    times = torch.from_numpy(data.times[case].astype(np.float32))
    found = model(frames, frames[reference : reference + 1], times)
    return F.interpolate(found, scale_factor=4.0, mode="bilinear", align_corners=False).numpy()


def measure(model, sets, most=None, bf16=True):
    """A row for each series: errors in its wall in px, in all frames but the reference."""
    rows = []
    for data in sets:
        for case in range(len(data) if most is None else min(most, len(data))):
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                found = run(model, data, case)
            wall = data.regions[case] == 4
            others = np.arange(len(found)) != data.reference[case]
            truth = data.fields[case].astype(np.float32)[others][:, :, wall]
            off = np.hypot(*(found[others][:, :, wall] - truth).transpose(1, 0, 2))
            rows.append({
                "set": data.name, "snr": float(data.snr[case]), "field": float(data.field_strength_t[case]),
                "still": bool(data.still[case]), "error": off.ravel(), "before": np.hypot(*truth.transpose(1, 0, 2)).ravel(),
                "times": data.times[case][others], "by_frame": np.median(off, 1), "folded": folded(found, data.regions[case] >= 1),
            })
    return rows


def folded(field, heart):
    """Share of the heart's pixels whose Jacobian is not above 0."""
    dy = np.gradient(field, axis=2)
    dx = np.gradient(field, axis=3)
    determinant = (1 + dy[:, 0]) * (1 + dx[:, 1]) - dy[:, 1] * dx[:, 0]
    return float((determinant[:, heart] <= 0).mean())


def figures_of(rows):
    """Median, 95th percentile and so on of some rows."""
    moving = [row for row in rows if not row["still"]]
    still = [row["error"].max() for row in rows if row["still"]]
    result = {"n_series": len(rows)}
    if moving:
        error, before = (np.concatenate([row[k] for row in moving]) for k in ("error", "before"))
        result |= {
            "median_px": float(np.median(error)), "p95_px": float(np.percentile(error, 95)),
            "median_before_px": float(np.median(before)), "p95_before_px": float(np.percentile(before, 95)),
            "folded_percent": 100 * float(np.mean([row["folded"] for row in rows])),
        }
    if still:
        result |= {"still_max_median_px": float(np.median(still)), "still_max_worst_px": float(np.max(still))}
    return result


def groups(rows):
    """Figures of all series and of parts of them: (name, figures)."""
    yield "all unseen series", figures_of(rows)
    for name in sorted({row["set"] for row in rows}):
        yield name, figures_of([row for row in rows if row["set"] == name])
    for field in sorted({row["field"] for row in rows}):
        yield f"{field:g} T", figures_of([row for row in rows if row["field"] == field])
    for low, high in ((10, 20), (20, 35), (35, 60)):
        chosen = [row for row in rows if low <= row["snr"] < high]
        if chosen:
            yield f"SNR {low} to {high}", figures_of(chosen)


def summary(rows):
    return " | ".join(
        f"{name}: " + " ".join(f"{k} {v:.2f}" for k, v in f.items() if k != "n_series") if name.startswith("all") else
        f"{name} {f.get('median_px', np.nan):.2f}/{f.get('p95_px', np.nan):.2f}"
        for name, f in groups(rows)
    )
