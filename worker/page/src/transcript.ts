/** What was said, when and by whom; one line a segment. */

import { clock } from "./clock";

export interface Line {
  add(piece: string): void;
  end(): void;
}

export class Transcript {
  constructor(
    private readonly list: HTMLElement,
    /** Read out by screen readers, a whole segment at a time: words one by one would talk over the call. */
    private readonly announcer: HTMLElement,
  ) {}

  clear(): void {
    this.list.replaceChildren();
    this.announcer.textContent = "";
  }

  begin(who: string, side: "you" | "model", timeS: number): Line {
    const row = document.createElement("li");
    row.className = `${side} open`;
    const when = document.createElement("time");
    when.textContent = clock(timeS);
    when.dateTime = `PT${Math.floor(timeS)}S`;
    const name = document.createElement("b");
    name.textContent = who;
    const text = document.createElement("p");
    row.append(when, name, text);
    this.list.append(row);
    this.toTheEnd();
    return {
      add: (piece) => {
        const follows = this.isAtTheEnd();
        const word = document.createElement("span");
        word.textContent = piece;
        text.append(word);
        if (follows) this.toTheEnd();
      },
      end: () => {
        row.classList.remove("open");
        text.textContent = (text.textContent ?? "").trim();
        if (!text.textContent) row.remove();
        else if (side === "model") this.announcer.textContent = `${who}: ${text.textContent}`;
      },
    };
  }

  private isAtTheEnd(): boolean {
    return this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 80;
  }

  private toTheEnd(): void {
    this.list.scrollTop = this.list.scrollHeight;
  }
}
