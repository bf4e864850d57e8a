/** A typed client in a page of code: `fetch` for calls, a WebSocket for what happens. */
import type { Answer, Arguments, Body, Fact, OperationId, Operations, Refusal, SocketAsk, SocketFrame } from "./kovra";

type Where<O extends OperationId> = { method: Operations[O]["method"]; path: Operations[O]["path"] };

/** A refused call: `problem.code` is one of the codes that this operation knows. */
export class Refused<O extends OperationId> extends Error {
  constructor(readonly problem: Refusal<O>) {
    super(problem.detail ?? problem.title);
  }
}

export class Kovra {
  constructor(private readonly url: string, private readonly token: string) {}

  async call<O extends OperationId>(
    operation: O, where: Where<O>, given: Arguments<O> & { body?: Body<O> },
  ): Promise<Answer<O>> {
    const { path = {}, query = {}, header = {}, body } = given as {
      path?: Record<string, string>; query?: Record<string, unknown>; header?: Record<string, string>; body?: unknown;
    };
    const at = where.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ""));
    const pairs = Object.entries(query).map(([name, value]) => [name, String(value)]);
    const response = await fetch(`${this.url}${at}${pairs.length ? `?${new URLSearchParams(pairs)}` : ""}`, {
      method: where.method,
      headers: {
        Authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...header,
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const answer: unknown = response.status === 204 ? undefined : await response.json();
    if (!response.ok) throw new Refused<O>(answer as Refusal<O>);
    return answer as Answer<O>;
  }

  /** Facts of a topic, until the socket closes. */
  async watch(topic: string, heard: (fact: Fact) => void): Promise<WebSocket> {
    const made = await this.call("createTicket", { method: "POST", path: "/v1/ws-tickets" }, {});
    const socket = new WebSocket(`${this.url.replace(/^http/, "ws")}/v1/ws`, [made.protocol, `ticket.${made.ticket}`]);
    const ask: SocketAsk = { type: "subscribe", id: "all", topic };
    socket.onopen = () => socket.send(JSON.stringify(ask));
    socket.onmessage = (message: MessageEvent<string>) => {
      const frame = JSON.parse(message.data) as SocketFrame;
      if (frame.type === "event") heard(frame.event);
    };
    return socket;
  }
}

/** Deploy an image, and say how it ended. */
export async function deploy(kovra: Kovra, app_id: string, image: string): Promise<string> {
  try {
    const started = await kovra.call(
      "createDeployment",
      { method: "POST", path: "/v1/apps/{app_id}/deployments" },
      { path: { app_id }, body: { environment: "production", image } },
    );
    const ended = await kovra.call(
      "getDeployment",
      { method: "GET", path: "/v1/deployments/{deployment_id}" },
      { path: { deployment_id: started.id }, query: { wait: 60, until: "terminal" } },
    );
    return ended.reason ? `${ended.outcome}: ${ended.reason.message}` : String(ended.outcome ?? ended.phase);
  } catch (refused) {
    if (refused instanceof Refused) return `refused: ${refused.message}`;
    throw refused;
  }
}

/** What a screen writes about a fact: its payload is known by its type. */
export function told(fact: Fact): string {
  switch (fact.type) {
    case "deployment.finished":
      return `${fact.subject} ended: ${fact.payload.outcome}`;
    case "app.created":
      return `${fact.payload.slug} was made by ${fact.actor}`;
    default:
      return `${fact.type} ${fact.subject}`;
  }
}
