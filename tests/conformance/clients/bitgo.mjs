// BitGo as its public example signs: npm's jsonwebtoken, RS256, a minute, a jti of its own. One line of JSON per answer.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import jwt from 'jsonwebtoken';

const [url, keyFile] = process.argv.slice(2);
const key = readFileSync(keyFile);
const token = (jwtid) => jwt.sign({ foo: 'bar' }, key, { algorithm: 'RS256', expiresIn: '1m', jwtid });

async function call(method, path, body, jti = randomUUID()) {
  const answer = await fetch(`${url}/bitgo/v1${path}`, {
    method,
    headers: { 'X-BitGo-Signature': token(jti), ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  console.log(JSON.stringify({ sent: body ?? null, status: answer.status, text: await answer.text() }));
}

const account = { clientId: randomUUID(), connectionId: randomUUID(), partnersConnectionId: 'account-7' };
const ethers = { allocationId: randomUUID(), amount: { currency: 'ETH', quantity: 1000 * 10 ** 18 }, ...account };
await call('POST', '/allocations', ethers, `${new Date().toISOString()}-${process.pid}`);
await call('POST', '/allocations', ethers);
await call('PUT', `/allocation/${ethers.allocationId}/clear`);
await call('POST', '/deallocations', { deallocationId: randomUUID(), amount: ethers.amount, ...account });
const again = randomUUID();
await call('PUT', `/allocation/${ethers.allocationId}/clear`, undefined, again);
await call('PUT', `/allocation/${ethers.allocationId}/clear`, undefined, again);
