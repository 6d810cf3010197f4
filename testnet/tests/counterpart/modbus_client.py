"""Looks at a Modbus device with pysunspec2 or pymodbus, and says what it saw as JSON.

usage: modbus_client.py HOST PORT UNIT look
       modbus_client.py HOST PORT UNIT set MODEL POINT=VALUE...   (by pysunspec2, with scale factors)
       modbus_client.py HOST PORT UNIT floats REGISTER...         (by pymodbus, input registers)
Numbers are said in whole thousandths; what a device does not implement is null.
"""

import json
import struct
import sys

from pymodbus.client import ModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP


def thousandths(value):
    return round(value * 1000) if isinstance(value, (int, float)) else value


def sunspec(host, port, unit):
    device = SunSpecModbusClientDeviceTCP(slave_id=unit, ipaddr=host, ipport=port, timeout=20)
    device.scan()
    return device


def look(device):
    found = [(key, models) for key, models in device.models.items() if isinstance(key, int)]
    points = {
        key: {name: thousandths(point.cvalue) for name, point in models[0].points.items()}
        for key, models in found
    }
    return {"models": [key for key, _ in found], "points": points}


def put(device, number, settings):
    model = device.models[int(number)][0]
    for setting in settings:
        name, value = setting.split("=")
        model.points[name].cvalue = int(value)
        model.points[name].write()


def floats(host, port, unit, registers):
    client = ModbusTcpClient(host, port=port, timeout=20)
    client.connect()
    seen = {}
    for register in registers:
        answer = client.read_input_registers(int(register), count=2, slave=unit)
        seen[register] = thousandths(struct.unpack(">f", struct.pack(">HH", *answer.registers))[0])
    client.close()
    return seen


def main(host, port, unit, command, *rest):
    port, unit = int(port), int(unit)
    if command == "floats":
        return floats(host, port, unit, rest)
    device = sunspec(host, port, unit)
    if command == "set":
        put(device, rest[0], rest[1:])
        device = sunspec(host, port, unit)
    return look(device)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
