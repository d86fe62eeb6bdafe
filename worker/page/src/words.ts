/** Where the words of the model stand on the sheet: at the moment they were said, and never over each other. */

const GAP_PX = 6;
/** A word that would come this much too late on one line goes to the next. */
const LAG_PX = 90;
const OUT_OF_SIGHT_PX = 400;

export const LINES = 2;

export interface Word {
  text: string;
  /** Where it begins, in pixels of paper since the call began. */
  at: number;
  line: number;
}

export class Words {
  private words: Word[] = [];
  private readonly ends: number[] = new Array<number>(LINES).fill(-Infinity);

  constructor(private readonly widthOf: (text: string) => number) {}

  clear(): void {
    this.words = [];
    this.ends.fill(-Infinity);
  }

  /** A piece of speech at `now`; without a space before it, the end of the last word. */
  say(piece: string, now: number): void {
    const last = this.words.at(-1);
    const texts = piece.split(/\s+/);
    if (last && texts[0]) {
      last.text += texts.shift();
      this.ends[last.line] = last.at + this.widthOf(last.text);
    }
    for (const text of texts.filter(Boolean)) this.place(text, now);
  }

  /** Those that can be seen when the sheet begins at `from`. */
  since(from: number): readonly Word[] {
    this.words = this.words.filter((word) => word.at > from - OUT_OF_SIGHT_PX);
    return this.words;
  }

  private place(text: string, now: number): void {
    const inTime = this.ends.findIndex((end) => end + GAP_PX <= now + LAG_PX);
    const line = inTime >= 0 ? inTime : this.ends.indexOf(Math.min(...this.ends));
    const at = Math.max(now, (this.ends[line] ?? now) + GAP_PX);
    this.words.push({ text, at, line });
    this.ends[line] = at + this.widthOf(text);
  }
}
