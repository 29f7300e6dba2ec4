// The line protocol of the driven clients: a command a line in, an answer a line out, both JSON.
//   in   {"id", "do": NAME, ...arguments}
//   out  {"id", "result"} or {"id", "error"}; {"event": NAME} for what happens unasked
import { createInterface } from "node:readline";

export function tell(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

// Commands run side by side, so that one can hang while others go on.
export function serve(commands) {
  const input = createInterface({ input: process.stdin });
  input.on("line", async (line) => {
    const { id, do: name, ...rest } = JSON.parse(line);
    try {
      tell({ id, result: (await commands[name](rest)) ?? null });
    } catch (error) {
      tell({ id, error: String(error?.message ?? error) });
    }
  });
  input.on("close", () => process.exit(0));
}
