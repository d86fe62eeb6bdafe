/** The strip that shows how long answers take in this call. */

/** What the agent tells on `moshi.latency`. */
interface Latency {
  p50_ms: number;
  p95_ms: number;
  p99_ms: number;
  frames: number;
  missed: number;
}

/** What the browser itself knows of the way to the server and back. */
export interface Path {
  networkMs?: number;
  bufferMs?: number;
}

const RULER_MS = 500;
const QUANTILES = ["p50", "p95", "p99"] as const;

export class LatencyStrip {
  private missed = "";
  private path: Path = {};
  private modelDelayMs = NaN;

  constructor(
    private readonly root: HTMLElement,
    private readonly words: HTMLElement,
  ) {}

  /** A call begins, of which nothing is known yet. */
  begin(): void {
    this.missed = "";
    this.path = {};
    this.words.textContent = "measuring";
    for (const quantile of QUANTILES) {
      this.part(`[data-quantile=${quantile}]`).textContent = "–";
      this.part(`[data-mark=${quantile}]`).style.left = "0";
    }
    this.root.hidden = false;
  }

  /** The text as it came. */
  show(told: string): void {
    let latency: Latency;
    try {
      latency = JSON.parse(told) as Latency;
    } catch {
      return;
    }
    for (const quantile of QUANTILES) {
      const ms = latency[`${quantile}_ms`];
      if (!Number.isFinite(ms)) continue;
      this.part(`[data-quantile=${quantile}]`).textContent = `${Math.round(ms)} ms`;
      this.part(`[data-mark=${quantile}]`).style.left = `${(100 * Math.min(ms, RULER_MS)) / RULER_MS}%`;
    }
    this.missed = `${latency.missed} of ${latency.frames} frames late`;
    this.tell();
  }

  showPath(path: Path): void {
    this.path = path;
    this.tell();
  }

  showModelDelay(attribute: string): void {
    this.modelDelayMs = Number(attribute);
    this.tell();
  }

  private tell(): void {
    const { networkMs, bufferMs } = this.path;
    const parts = [
      networkMs === undefined ? "" : `network ${Math.round(networkMs)} ms`,
      bufferMs === undefined ? "" : `your buffer ${Math.round(bufferMs)} ms`,
      Number.isFinite(this.modelDelayMs) ? `model's own delay ${Math.round(this.modelDelayMs)} ms` : "",
      this.missed,
    ];
    this.words.textContent = parts.filter(Boolean).join(" · ");
  }

  private part(selector: string): HTMLElement {
    return this.root.querySelector<HTMLElement>(selector)!;
  }
}
