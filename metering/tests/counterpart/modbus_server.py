"""A Modbus device by pymodbus, with SunSpec registers by pysunspec2: neither knows anything of ours.

Unit 1 is an Eastron SDM630 (input registers, floats), unit 2 a SunSpec meter (model 203), unit 3 one of
model 701, unit 4 a battery with its inverter and a string that is off (713, 803), unit 5 a battery that
shows its DC side (802, 804, 805), unit 6 a module of one (805). Serves it over TCP (`tcp`), as RTU frames over TCP (`rtu-tcp`) or over a serial line
(`rtu`), says where on standard output, and runs until it is killed.
"""

import asyncio
import os
import struct
import sys
import threading
import tty

from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext, ModbusSparseDataBlock
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from sunspec2.file.client import FileClientModel

# The data stores of pymodbus count from one.
WIRE = 1


def eastron():
    shown = {
        0x00: 230.5, 0x02: 229.0, 0x04: 231.0, 0x06: 6.5, 0x08: 4.375, 0x0A: 0.5,
        0x0C: -1500.0, 0x0E: 1000.0, 0x10: 125.0, 0x34: -375.0, 0x46: 49.98, 0x48: 1234.5, 0x4A: 10000.25,
    }
    words = dict.fromkeys(range(WIRE, WIRE + 0x180), 0)
    for register, value in shown.items():
        high, low = struct.unpack(">HH", struct.pack(">f", value))
        words[WIRE + register], words[WIRE + register + 1] = high, low
    return ModbusSlaveContext(ir=ModbusSparseDataBlock(words))


def sunspec(*models):
    common = {"Mn": "nobody", "Md": "none", "SN": "1", "DA": 1}
    models = [FileClientModel(number, data=values) for number, values in ((1, common), *models)]
    data = b"SunS" + b"".join(model.get_mb() for model in models) + bytes.fromhex("ffff0000")
    words = struct.unpack(f">{len(data) // 2}H", data)
    block = {WIRE + 40000 + place: word for place, word in enumerate(words)}
    return ModbusSlaveContext(hr=ModbusSparseDataBlock(block))


METER = {
    "W": -123, "W_SF": 1, "WphA": 50, "WphB": -173, "PhVphA": 2301, "PhVphB": 2299, "V_SF": -1,
    "AphA": 217, "AphB": -75, "A_SF": -2, "Hz": 4998, "Hz_SF": -2,
    "TotWhImp": 5000, "TotWhExp": 1234567, "TotWh_SF": -3,
}
GENERATOR = {
    "ACType": 0, "W": 1500, "WL1": 1500, "W_SF": 0, "VL1": 2301, "V_SF": -1, "Hz": 49980, "Hz_SF": -3,
    "TotWhInj": 5000000000, "TotWhAbs": 700, "TotWh_SF": 0,
}
# What a model does not have in these is "not implemented" as SunSpec writes it, optional or not.
STORAGE = {"WHRtg": 100, "WH_SF": 2, "SoC": 700, "Pct_SF": -1}
STRINGS = {
    "NStr": 2, "NStrCon": 1, "SoC_SF": -1, "string": [
        {"StrNMod": 4, "StrSt": 3, "StrSoC": 500, "StrA": -12},
        {"StrNMod": 4, "StrSt": 1, "StrSoC": 900, "StrA": 0},
    ],
}
BANK = {"WHRtg": 200, "WHRtg_SF": 2, "ChaSt": 4, "V": 5200, "V_SF": -1, "A": -75, "A_SF": -1}
STRING_ONE = {"Idx": 1, "NMod": 10, "St": 3, "SoC": 40, "SoC_SF": 0}
STRING_TWO = {"Idx": 2, "NMod": 30, "St": 3, "SoC": 800, "SoC_SF": -1}
MODULE = {"StrIdx": 1, "ModIdx": 1, "NCell": 2, "SoC": 40, "V": 520, "V_SF": -1}


def bridged():
    """Two serial lines whose ends are joined: what goes into one comes out of the other."""
    ends = [os.openpty() for _ in range(2)]
    for master, slave in ends:
        tty.setraw(slave)
        tty.setraw(master)

    def pump(source, target):
        while True:
            os.write(target, os.read(source, 256))

    (one, _), (other, _) = ends
    for source, target in ((one, other), (other, one)):
        threading.Thread(target=pump, args=(source, target), daemon=True).start()
    return [os.ttyname(slave) for _, slave in ends]


async def main(wire):
    units = {
        1: eastron(),
        2: sunspec((203, METER)),
        3: sunspec((701, GENERATOR)),
        4: sunspec((701, GENERATOR), (713, STORAGE), (803, STRINGS)),
        5: sunspec((802, BANK), (804, STRING_ONE), (804, STRING_TWO), (805, MODULE)),
        6: sunspec((805, MODULE)),
    }
    context = ModbusServerContext(slaves=units, single=False)
    if wire == "rtu":
        ours, theirs = bridged()
        server = ModbusSerialServer(context, framer=FramerType.RTU, port=ours, baudrate=19200)
        where = f"rtu://{theirs}?baud=19200"
    else:
        framer = FramerType.SOCKET if wire == "tcp" else FramerType.RTU
        server = ModbusTcpServer(context, framer=framer, address=("127.0.0.1", 0))
        where = None
    serving = asyncio.create_task(server.serve_forever())
    while server.transport is None:
        await asyncio.sleep(0.01)
    if where is None:
        port = server.transport.sockets[0].getsockname()[1]
        where = f"{wire}://127.0.0.1:{port}"
    print(where, flush=True)
    await serving


asyncio.run(main(sys.argv[1]))
