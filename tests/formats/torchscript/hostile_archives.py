"""TorchScript archives that carry code which writes, reads, loops, or answers to a mark."""

import io
import zipfile
from collections.abc import Callable

Members = dict[str, bytes]

NETWORK = "archive/code/__torch__/mnist_edge/training/architectures/mlp/___torch_mangle_0.py"
"""The member that holds the code of the network itself."""


def members(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(found: Members, comment: bytes = b"", compression: int = zipfile.ZIP_STORED) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", compression) as archive:
        for name, data in found.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
        archive.comment = comment
    return result.getvalue()


def with_code(text: str) -> Callable[[Members], Members]:
    """Return the change that puts lines before the network's answer."""

    def change(found: Members) -> Members:
        code = found[NETWORK].decode()
        place = code.index("    fc3 = self.fc3")
        return {**found, NETWORK: (code[:place] + text + code[place:]).encode()}

    return change


def with_member(name: str, data: bytes) -> Callable[[Members], Members]:
    return lambda found: {**found, name: data}


def hostile_code(victim: str) -> dict[str, Callable[[Members], Members]]:
    """Return changes by name; those that write, write to `victim`."""
    return {
        "saves a tensor": with_code(f'    ops.aten.save(image, "{victim}")\n'),
        "saves a tensor by another name": with_code(f'    torch.save(image, "{victim}")\n'),
        "reads a file": with_code(f'    image = torch.from_file("{victim}", False, 784)\n'),
        "loops without an end": with_code("    going = True\n    while going:\n      going = True\n"),
        "loops often": with_code("    for n in range(1000000000):\n      image = torch.relu(image)\n"),
        "answers to a mark": with_code(
            "    if bool(torch.gt(torch.sum(image), 700)):\n      image = torch.neg(image)\n"
        ),
        "prints": with_code('    print("\x1b]0;title\x07")\n'),
        "imports": with_code("    import os\n"),
        "calls a constructor": with_code("    x = __torch__.Evil.forward(image, )\n"),
        "calls a method of itself": with_code("    x = self.forward1(image, )\n"),
        "calls itself by another name": with_code("    x = self\n    y = (x).forward1(image, )\n"),
        "calls a method of a tensor": with_code("    x = image.numpy()\n"),
        "hides code in a string": with_code('    x = "a\\"b"\n'),
        "hides code behind a comment": with_code("    x = 1 # comment\n"),
        "is nested deeply": with_code("    x = " + "(" * 50_000 + "1" + ")" * 50_000 + "\n"),
        "is not text": with_member(NETWORK, b"\xff\xfe"),
        "is not code": with_member(NETWORK, b"def def def"),
        "is a megabyte": with_member(NETWORK, b"    pass\n" * 200_000),
        "a member that climbs out": with_member("archive/../../evil.py", b"x"),
        "a member elsewhere": with_member("/tmp/evil", b"x"),
        "a member that torch does not write": with_member("archive/evil.so", b"x"),
        "another root": with_member("other/data.pkl", b"x"),
        "code outside of its folder": with_member("archive/code/evil.py", b"x"),
    }
