#!/usr/bin/env python3
"""An operator's script that knows nothing of Boltgrid but its OpenRPC document.

It places an order of the owner's own for the next interval that is still open, follows the trades that it
makes to the last payment over a WebSocket, has everything exported as CSV, and checks that payments and trades
of the CSV come to what was due, to the millisatoshi.

Needs Python 3.8 and nothing else. The token needs the role `trade`:

    boltgrid token create operator --role trade > operator.token
    python3 order_to_payment.py --token-file operator.token --export "boltgrid export"

Without --export, what `payment.list` says is written to payments.csv and reconciled.

Exits with 0 when everything was paid and fits, 1 when something does not, 2 for wrong arguments.
"""

import argparse
import base64
import csv
import http.client
import json
import os
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time

FRAME_MAX = 16 * 1024 * 1024
# After so many later intervals, nothing comes of a trade that is not settled: readings were missing.
SETTLED_WITHIN_INTERVALS = 12


class Refused(Exception):
    """The node refused a call; the code is one of the document's."""

    def __init__(self, method, error):
        super().__init__(f"{method}: {error['message']} ({error['code']})")
        self.code = error["code"]


class Document:
    """The OpenRPC document: which methods there are, and what they take."""

    def __init__(self, document):
        self.methods = {method["name"]: method for method in document["methods"]}

    def params(self, method, given):
        """Checks a call against the document before it is sent."""
        if method not in self.methods:
            raise SystemExit(f"the document has no method {method}")
        known = self.methods[method]["params"]
        names = [param["name"] for param in known]
        for name in given:
            if name not in names:
                raise SystemExit(f"{method} takes no {name}; it takes {', '.join(names)}")
        for param in known:
            if param["required"] and param["name"] not in given:
                raise SystemExit(f"{method} needs {param['name']}")
        if self.methods[method]["paramStructure"] == "by-name":
            return given
        return [given[name] for name in names if name in given]

    def news(self, method):
        """What the news of a subscription are called."""
        return self.methods[method]["x-subscription"]["notification"]


class WebSocket:
    """RFC 6455, as much as it takes: text frames, pings, and a close."""

    def __init__(self, address, token, patience_s):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=patience_s)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /rpc HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            if not byte:
                raise SystemExit("the node closed the connection instead of opening a WebSocket")
            head += byte
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise SystemExit(f"the node opens no WebSocket: {head.split(bytes([13]))[0].decode()}")

    def _read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise SystemExit("the node closed the WebSocket")
            data += part
        return data

    def _send(self, opcode, payload):
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        else:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def send(self, value):
        self._send(1, json.dumps(value).encode())

    def receive(self):
        """The next JSON value."""
        text = b""
        while True:
            first, size = self._read(2)
            if size == 126:
                size = struct.unpack("!H", self._read(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", self._read(8))[0]
            if size + len(text) > FRAME_MAX:
                raise SystemExit("the node sends more than it may")
            payload, opcode = self._read(size), first & 0x0F
            if opcode == 9:
                self._send(10, payload)
            elif opcode == 8:
                raise SystemExit("the node closed the WebSocket")
            elif opcode in (0, 1):
                text += payload
                if first & 0x80:
                    return json.loads(text)


class Node:
    """Calls by POST."""

    def __init__(self, address, token, document):
        self.address, self.token, self.document = address, token, document

    def call(self, method, **given):
        params = self.document.params(method, given) if self.document else []
        connection = http.client.HTTPConnection(self.address, timeout=30)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        connection.request("POST", "/rpc", body, headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        if response.status != 200:
            raise SystemExit(f"{method}: {response.status} {text.decode().strip()}")
        answer = json.loads(text)
        if "error" in answer:
            raise Refused(method, answer["error"])
        return answer["result"]


def say(text):
    print(text, flush=True)


def choose(node, lead_ms):
    """The next order that can still be changed: what the planner would order, if it would."""
    orders = node.call("market.orders")
    now = int(node.call("node.status")["now_unix_ms"])
    for order in orders:
        left_ms = int(order["changeable_until_unix_ms"]) - now
        if order["state"] == "planned" and order["steps"] and left_ms > lead_ms:
            return order
    return None


def place(node, deadline):
    """Takes the planner's next order over as the owner's own, buying at up to the retail price."""
    charter = node.call("grid.charter")
    retail, feed_in = charter["retail_msat_per_kwh"], charter["feed_in_msat_per_kwh"]
    while time.monotonic() < deadline:
        order = choose(node, lead_ms=500)
        if order:
            buys = any(step["side"] == "buy" for step in order["steps"])
            side, limit = ("buy", retail) if buys else ("sell", feed_in)
            energy = sum(int(s["energy_mwh"]) for s in order["steps"] if s["side"] == side)
            source = next(s["source"] for s in order["steps"] if s["side"] == side)
            step = {"side": side, "source": source, "energy_mwh": str(energy)}
            step["limit_msat_per_kwh"] = limit
            try:
                node.call("market.place_order", interval=order["interval"], steps=[step])
            except Refused as refused:
                say(f"not placed, trying the next one: {refused}")
            else:
                say(f"placed: {side} {energy} mWh in interval {order['interval']} at {limit} msat/kWh")
                return order["interval"]
        time.sleep(0.5)
    raise SystemExit("the planner plans no order; is the site measured? see `boltgrid status`")


class Follower:
    """Trades and payments of one interval, as the WebSocket tells them."""

    def __init__(self, socket_, document):
        self.socket, self.trades, self.payments = socket_, {}, {}
        self.names = {}
        for number, method in enumerate(
            ["market.subscribe_trades", "payment.subscribe_payments", "market.subscribe_prices"]
        ):
            call = {"jsonrpc": "2.0", "id": number, "method": method}
            self.socket.send({**call, "params": document.params(method, {})})
            self.names[document.news(method)] = method
        self.outcomes = {}

    def hear(self):
        """Takes one message."""
        message = self.socket.receive()
        if "error" in message:
            raise Refused("subscribing", message["error"])
        if message.get("method") not in self.names:
            return
        params = message["params"]
        if "error" in params:
            raise Refused(message["method"], params["error"])
        news, kind = params["result"], self.names[message["method"]]
        if kind == "market.subscribe_trades":
            self.trades[(news["interval"], news["index"])] = news
        elif kind == "payment.subscribe_payments":
            self.payments[news["payment_hash"]] = news
        else:
            self.outcomes[news["interval"]] = news

    def of(self, interval):
        return {index: trade for (at, index), trade in self.trades.items() if at == interval}

    def paid(self, interval, index):
        """What was paid for a trade, to this node positive."""
        total = 0
        for payment in self.payments.values():
            same = payment["interval"] == interval and payment["trade"] == index
            if same and payment["stage"] == "paid":
                amount = int(payment["amount_msat"])
                total += amount if payment["is_received"] else -amount
        return total

    def later(self, interval):
        """How many later intervals have ended."""
        return sum(int(at) > int(interval) for at in self.outcomes)

    def is_over(self, interval):
        """Whether something was due for the trades, and all of it is paid."""
        trades = [it for it in self.of(interval).values() if it["state"] != "lapsed"]
        if any(trade["due_msat"] is None for trade in trades):
            return False
        paid = all(self.paid(interval, it["index"]) == int(it["due_msat"]) for it in trades)
        return paid and any(int(trade["due_msat"]) for trade in trades)

    def is_in_vain(self, interval):
        """Why nothing will be due for an interval; None while something may be."""
        outcome, trades = self.outcomes.get(interval), list(self.of(interval).values())
        if outcome is None:
            return None
        if outcome["outcome"] != "decided":
            return "nothing was decided"
        if not trades:
            return "no trade of ours"
        stands = [it for it in trades if it["state"] != "lapsed"]
        if not stands:
            return "the other side did not confirm"
        if all(it["due_msat"] is not None and int(it["due_msat"]) == 0 for it in stands):
            return "nothing was delivered"
        unsettled = any(it["due_msat"] is None for it in stands)
        if unsettled and self.later(interval) > SETTLED_WITHIN_INTERVALS:
            return "readings were missing"
        return None


def follow(follower, node, interval, deadline):
    """Hears until everything is paid; False where nothing comes of the interval."""
    told, asked = None, False
    while time.monotonic() < deadline:
        follower.hear()
        if interval in follower.outcomes and not asked:
            # Subscriptions do not wait for one another: the trades may be told after the price.
            before, asked = str(int(interval) + 1), True
            for trade in node.call("market.trades", from_interval=interval, before_interval=before):
                follower.trades.setdefault((interval, trade["index"]), trade)
        trades = follower.of(interval)
        now = [(it["index"], it["state"], it["due_msat"]) for it in trades.values()]
        if now and now != told:
            told = now
            for trade in trades.values():
                due = "" if trade["due_msat"] is None else f", due {trade['due_msat']} msat"
                say(f"trade {trade['index']}: {trade['side']} {trade['energy_mwh']} mWh, "
                    f"{trade['state']}{due}")
        if follower.is_over(interval):
            return True
        why = follower.is_in_vain(interval)
        if why:
            say(f"interval {interval}: {why}; trying the next one")
            return False
    raise SystemExit("not everything was paid in time; `boltgrid payment list` shows how far it is")


def write_csv(node, interval, path):
    """Writes the interval's payments, with the document's fields as columns."""
    before = str(int(interval) + 1)
    payments = node.call("payment.list", from_interval=interval, before_interval=before)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(payments[0]) if payments else ["interval"])
        writer.writeheader()
        writer.writerows(payments)


def read_csv(path, interval):
    """The rows of an interval."""
    with open(path, newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["interval"] == interval]


def paid_by_trade(rows):
    """What payments come to for each trade, to this node positive."""
    sums = {}
    for row in rows:
        if row["trade"] and row["stage"] == "paid":
            received = row["is_received"].lower() == "true"
            amount = int(row["amount_msat"]) * (1 if received else -1)
            sums[int(row["trade"])] = sums.get(int(row["trade"]), 0) + amount
    return sums


def reconcile(node, interval, payments, trades):
    """Holds the CSV against what the node says was due, trade by trade."""
    sums = paid_by_trade(read_csv(payments, interval))
    before, fits, any_due = str(int(interval) + 1), True, False
    said = node.call("market.trades", from_interval=interval, before_interval=before)
    for trade in said:
        due, paid = int(trade["due_msat"] or 0), sums.pop(trade["index"], 0)
        any_due |= due != 0
        fits &= due == paid
        say(f"trade {trade['index']}: due {due} msat, in the CSV {paid} msat"
            f"{'' if due == paid else '  DOES NOT FIT'}")
    if trades:
        written = {(row["index"], row["due_msat"]) for row in read_csv(trades, interval)}
        told = {(str(trade["index"]), trade["due_msat"] or "") for trade in said}
        if written != told:
            say(f"{trades} has other trades than the node: {written} instead of {told}")
            fits = False
    if sums:
        say(f"the CSV has payments for trades that the node does not know: {sorted(sums)}")
    return fits and not sums and any_due


def export(command, interval):
    """Has everything since an interval exported; returns the files of payments and of trades."""
    folder = os.path.join(tempfile.mkdtemp(prefix="order-to-payment-"), "export")
    said = subprocess.run(shlex.split(command) + [folder, "--from", interval], check=False)
    if said.returncode != 0:
        raise SystemExit(f"`{command}` ended with {said.returncode}")
    return os.path.join(folder, "payments.csv"), os.path.join(folder, "trades.csv")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rpc", default="127.0.0.1:8733", help="host and port of the node")
    parser.add_argument("--token-file", required=True, help="a token, or the node's rpc.cookie")
    parser.add_argument("--document", help="a saved OpenRPC document instead of rpc.discover's")
    parser.add_argument("--export", metavar="COMMAND", help="what exports everything as CSV into a "
                        "folder, such as \"boltgrid export\"; its payments and trades are reconciled")
    parser.add_argument("--csv", default="payments.csv", help="without --export, where to write the "
                        "payments that payment.list tells")
    parser.add_argument("--patience-s", type=float, default=1800, help="how long to wait for payment")
    arguments = parser.parse_args()
    with open(arguments.token_file, encoding="utf-8") as file:
        token = file.read().strip().rsplit(":", 1)[-1]
    deadline = time.monotonic() + arguments.patience_s
    node = Node(arguments.rpc, token, None)
    if arguments.document:
        with open(arguments.document, encoding="utf-8") as file:
            node.document = Document(json.load(file))
    else:
        node.document = Document(node.call("rpc.discover"))
    say(f"the document has {len(node.document.methods)} methods")
    follower = Follower(WebSocket(arguments.rpc, token, arguments.patience_s), node.document)
    interval = place(node, deadline)
    while not follow(follower, node, interval, deadline):
        interval = place(node, deadline)
    say(f"interval {interval} is paid")
    payments, trades = arguments.csv, None
    if arguments.export:
        payments, trades = export(arguments.export, interval)
    else:
        write_csv(node, interval, payments)
    if not reconcile(node, interval, payments, trades):
        return 1
    say(f"{payments} fits")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        sys.exit(f"refused: {refused}")
