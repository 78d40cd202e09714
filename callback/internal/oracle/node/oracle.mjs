// Reads a JSON array of webhooks from standard input and answers each with what the standardwebhooks package makes of
// it: whether it accepts our signature, and its own signature of the same webhook.
import { readFileSync } from "node:fs";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const answers = JSON.parse(readFileSync(0, "utf8")).map(({ id, secret, body, headers }) => {
  const webhook = new Webhook(secret);
  const at = new Date(Number(headers["webhook-timestamp"]) * 1000);
  const answer = { accepted: true, signature: webhook.sign(id, at, body) };
  try {
    webhook.verify(body, headers);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    answer.accepted = false;
  }
  return answer;
});
process.stdout.write(JSON.stringify(answers));
