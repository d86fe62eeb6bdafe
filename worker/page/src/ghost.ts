/** Two voices that were never heard: phrases with syllables in them, which overlap. For the sheet before a call. */

type Phrase = readonly [from: number, to: number];

const PERIOD = 460;
const YOU: readonly Phrase[] = [[18, 104], [238, 318], [392, 452]];
const MODEL: readonly Phrase[] = [[92, 226], [292, 372]];

export const ghost = {
  you: (stroke: number): number => voice(stroke, YOU, 1.3),
  model: (stroke: number): number => voice(stroke, MODEL, 4.1),
};

function voice(stroke: number, phrases: readonly Phrase[], colour: number): number {
  const at = stroke % PERIOD;
  const phrase = phrases.find(([from, to]) => at >= from && at < to);
  if (!phrase) return 0;
  const [from, to] = phrase;
  const envelope = Math.sin((Math.PI * (at - from)) / (to - from)) ** 0.4;
  const syllables = 0.5 + 0.5 * Math.sin(at * 0.42 + 2 * Math.sin(at * 0.11 + colour));
  const grain = 0.72 + 0.28 * Math.sin(stroke * 12.9898 * colour);
  return envelope * grain * (0.12 + 0.6 * syllables);
}
