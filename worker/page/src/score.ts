/**
 * Both voices on one line of time, as a score: yours above it, the model's below, its words under them.
 * Paper moves left under a pen that stays; ink that is old fades.
 */

import { clock } from "./clock";
import { ghost } from "./ghost";
import { LINES, Words } from "./words";

export const STROKE_S = 0.02;
const KEPT = 2048;
const WORD_FONT = "300 18px Spectral, serif";
const TICK_FONT = "500 11px 'Familjen Grotesk', sans-serif";
const WORD_LINE_PX = 25;
const TICK_LABEL_S = 5;

export class Score {
  private readonly context: CanvasRenderingContext2D;
  private readonly you = new Float32Array(KEPT);
  private readonly model = new Float32Array(KEPT);
  private strokes = 0;
  private readonly words: Words;
  private width = 0;
  private height = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    /** The score is written at the left edge of this. */
    private readonly pen: HTMLElement,
    /** Whose voices these are stands here, and is not written over. */
    private readonly names: HTMLElement,
    private readonly onResize: () => void,
  ) {
    this.context = canvas.getContext("2d")!;
    this.words = new Words((text) => {
      this.context.font = WORD_FONT;
      return this.context.measureText(text).width;
    });
    new ResizeObserver(() => this.fit()).observe(canvas);
  }

  /** A clean sheet. */
  clear(): void {
    this.you.fill(0);
    this.model.fill(0);
    this.strokes = 0;
    this.words.clear();
  }

  /** How many strokes are missing at `timeS` since the call began. */
  due(timeS: number): number {
    return Math.max(0, Math.floor(timeS / STROKE_S) - this.strokes);
  }

  /** One stroke of each voice, 0 to 1. */
  write(you: number, model: number): void {
    this.you[this.strokes % KEPT] = you;
    this.model[this.strokes % KEPT] = model;
    this.strokes += 1;
  }

  /** A piece of what the model says, at `timeS` since the call began. */
  say(piece: string, timeS: number): void {
    this.words.say(piece, timeS * this.speed);
  }

  /** The sheet as it is at `timeS` since the call began. */
  draw(timeS: number): void {
    const paper = this.prepare();
    const drift = (timeS / STROKE_S - this.strokes) * paper.pitch;
    const count = Math.min(this.strokes, KEPT, Math.ceil(paper.penX / paper.pitch) + 1);
    const level = (voice: Float32Array, back: number) => voice[(this.strokes - 1 - back) % KEPT] ?? 0;
    this.drawTicks(paper, timeS);
    this.drawVoice(paper, "--you", -1, count, drift, (back) => level(this.you, back));
    this.drawVoice(paper, "--model", 1, count, drift, (back) => level(this.model, back));
    this.drawWords(paper, timeS);
  }

  /** A conversation that nobody had, faint, `shown` (0 to 1) of it: what there is before the first call. */
  drawGhost(shown: number): void {
    const paper = this.prepare();
    const count = Math.ceil(paper.penX / paper.pitch);
    const visible = (back: number, level: number) => (1 - back / count <= shown ? level : 0);
    this.context.globalAlpha = 0.4;
    this.drawVoice(paper, "--you", -1, count, 0, (back) => visible(back, ghost.you(count - back)));
    this.drawVoice(paper, "--model", 1, count, 0, (back) => visible(back, ghost.model(count - back)));
    this.context.globalAlpha = 1;
  }

  private get pitch(): number {
    return this.isNarrow ? 2.5 : 3;
  }

  /** As the style sheet has it: names stand above and below the ink, and not before it. */
  private get isNarrow(): boolean {
    return this.width <= 700;
  }

  private get speed(): number {
    return this.pitch / STROKE_S;
  }

  private fit(): void {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.onResize();
  }

  private prepare(): Paper {
    const { context, width, height } = this;
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(this.canvas);
    const pen = this.pen.getBoundingClientRect();
    const canvas = this.canvas.getBoundingClientRect();
    const paper = {
      penX: pen.left - canvas.left - 12,
      fadedX: this.isNarrow ? 0 : this.names.getBoundingClientRect().right - canvas.left + 10,
      lineY: pen.top + pen.height / 2 - canvas.top,
      pitch: this.pitch,
      colour: (name: string) => style.getPropertyValue(name).trim(),
    };
    context.lineWidth = 1;
    context.strokeStyle = this.fading(paper, "--rule");
    context.beginPath();
    context.moveTo(0, paper.lineY);
    context.lineTo(paper.penX + 4, paper.lineY);
    context.stroke();
    return paper;
  }

  private drawVoice(
    paper: Paper, colour: string, direction: number, count: number, drift: number, level: (back: number) => number,
  ): void {
    const { context } = this;
    const reach = (direction < 0 ? paper.lineY - 22 : this.height - paper.lineY - LINES * WORD_LINE_PX - 14) - 6;
    context.strokeStyle = this.fading(paper, colour);
    context.lineWidth = 1.6;
    context.lineCap = "round";
    context.beginPath();
    for (let back = 0; back < count; back++) {
      const length = level(back) * reach;
      if (length < 0.5) continue;
      const x = paper.penX - back * paper.pitch - drift;
      context.moveTo(x, paper.lineY + direction * 4);
      context.lineTo(x, paper.lineY + direction * (4 + length));
    }
    context.stroke();
  }

  private drawTicks(paper: Paper, timeS: number): void {
    const { context } = this;
    context.font = TICK_FONT;
    context.textAlign = "center";
    context.textBaseline = "top";
    context.fillStyle = this.fading(paper, "--quiet");
    context.strokeStyle = this.fading(paper, "--rule");
    context.lineWidth = 1;
    context.beginPath();
    for (let second = Math.floor(timeS); second >= 0; second--) {
      const x = paper.penX - (timeS - second) * this.speed;
      if (x < -20) break;
      const labelled = second % TICK_LABEL_S === 0;
      context.moveTo(x, paper.lineY - (labelled ? 6 : 3));
      context.lineTo(x, paper.lineY + (labelled ? 6 : 3));
      if (labelled) context.fillText(clock(second), x, 2);
    }
    context.stroke();
  }

  private drawWords(paper: Paper, timeS: number): void {
    const { context } = this;
    const from = timeS * this.speed - paper.penX;
    context.save();
    context.beginPath();
    context.rect(0, 0, paper.penX, this.height);
    context.clip();
    context.font = WORD_FONT;
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
    context.fillStyle = this.fading(paper, "--ink");
    for (const { text, at, line } of this.words.since(from)) {
      context.fillText(text, at - from, this.height - (LINES - 1 - line) * WORD_LINE_PX - 10);
    }
    context.restore();
  }

  private fading(paper: Paper, name: string): CanvasGradient {
    const colour = paper.colour(name);
    const gradient = this.context.createLinearGradient(paper.fadedX, 0, paper.penX, 0);
    gradient.addColorStop(0, `${colour}00`);
    gradient.addColorStop(0.35, `${colour}90`);
    gradient.addColorStop(0.8, colour);
    return gradient;
  }
}

interface Paper {
  penX: number;
  /** Ink that has come here cannot be seen any more. */
  fadedX: number;
  lineY: number;
  pitch: number;
  /** A colour of the style sheet, as #rrggbb. */
  colour: (name: string) => string;
}
