"""A robot that speaks Wrapyfi: frames published on one topic go to a node, its results to another topic.

Start `gasp node`, then

    python wrapyfi_node.py

and publish frames from anywhere with gasp.node.wrapyfi.NativePublisher("/gasp/frames"), or listen to the results with
any listener of Wrapyfi for native objects.
"""

import argparse

import gasp
from gasp.node.wrapyfi import FRAMES, PUB_PORT, RESULTS, SUB_PORT, NativeListener, NativePublisher, relay
from gasp.work.interrupts import noted_end


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="tcp://127.0.0.1:5577", help="of the node")
    parser.add_argument("--pub-port", type=int, default=PUB_PORT, help="of Wrapyfi's broker, for listeners")
    parser.add_argument("--sub-port", type=int, default=SUB_PORT, help="of Wrapyfi's broker, for publishers")
    options = parser.parse_args()
    ports = {"pub_port": options.pub_port, "sub_port": options.sub_port}
    with (
        noted_end() as ended,
        gasp.NodeClient(options.address, name="wrapyfi") as client,
        NativePublisher(RESULTS, **ports) as results,
        NativeListener(FRAMES, pub_port=options.pub_port) as frames,
    ):
        print(f"frames from {FRAMES}, results to {RESULTS}", flush=True)
        relay(client, frames, results, ended)


if __name__ == "__main__":
    main()
