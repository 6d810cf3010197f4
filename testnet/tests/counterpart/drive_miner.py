"""Drives one mining machine with pyasic as an owner would, and says what it saw as JSON.

usage: drive_miner.py ADDRESS [POWER_W]
It wakes the machine, sets POWER_W where that is given, waits for its watts, and puts it to sleep.
"""

import asyncio
import json
import sys
import time

import pyasic


async def until(miner, holds, seconds):
    """What the machine draws and hashes once that is as wanted, or at the end."""
    end = time.monotonic() + seconds
    while True:
        data = await miner.get_data()
        watts, rate = data.wattage, float(data.hashrate or 0)
        if holds(watts, rate) or time.monotonic() > end:
            return {"watts": watts, "hash_rate_th": rate}
        await asyncio.sleep(0.5)


async def main(address, power_w):
    miner = await pyasic.get_miner(address)
    if miner is None:
        return {"found": None}
    data = await miner.get_data()
    seen = {"found": str(miner), "model": data.model, "asleep": {"watts": data.wattage}}
    seen["resume"] = await miner.resume_mining()
    full = await until(miner, lambda watts, rate: rate > 0 and watts > 10, 20)
    seen["awake"] = full
    if power_w:
        seen["set_power"] = await miner.set_power_limit(power_w)
        low = lambda watts, rate: rate > 0 and watts is not None and watts <= power_w
        seen["lowered"] = await until(miner, low, 20)
    seen["stop"] = await miner.stop_mining()
    seen["stopped"] = await until(miner, lambda watts, rate: rate == 0 and watts < 100, 20)
    return seen


if __name__ == "__main__":
    power = int(sys.argv[2]) if len(sys.argv) > 2 else None
    print(json.dumps(asyncio.run(main(sys.argv[1], power))))
