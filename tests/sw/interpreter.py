"""What a program means, from its contents alone: an interpreter of descriptors, with Python integers."""

import numpy as np

__all__ = ["Interpreter", "WordInterpreter", "descriptors"]


def descriptors(program):
    words = program.descriptors
    form = program.form
    return [form.decode(words[start:start + form.words]) for start in range(0, len(words), form.words)]


class Interpreter:
    """Runs a program's descriptors as docs/architecture.md says, a pass at a time, with Python integers."""

    def __init__(self, program):
        self.program = program
        self.engine = program.engine
        self.weights = program.weights.reshape(-1, self.engine.rows, self.engine.lanes)
        self.addresses = 1 << (program.feature_depth - 1).bit_length()
        self.features = np.zeros((self.engine.columns, self.addresses, self.engine.lanes), int)

    def run(self, image):
        """Scores of an 8-bit image."""
        self.image = self._levels(image)
        scores = []
        for fields in descriptors(self.program):
            scores = self._layer(fields)
        return scores

    def _levels(self, image):
        unit = self.program.image
        levels = image.astype(int) >> (8 - unit.bits) if unit.levels is None else np.array(unit.levels)[image]
        return levels.reshape(*image.shape[:2], -1)

    def _layer(self, f):
        engine, scores = self.engine, []
        write_address = f["out_address"]
        for row in range(f["rows_out"] + 1):
            for group_x in range(f["groups_x"] + 1):
                word = [[] for _ in range(engine.columns)]
                for group_c in range(f["groups_c"] + 1):
                    window = np.zeros((engine.rows, engine.columns), bool)
                    for dy in range(f["pool"] + 1):
                        for dx in range(f["pool"] + 1):
                            values = self._values(f, row, group_x, group_c, dy, dx)
                            window |= values >= 0
                    last = group_c == f["groups_c"]
                    if f["scores"]:
                        scores += values[:, 0].tolist()
                        continue
                    for step in range(f["last_steps"] + 1 if last else engine.drain_steps):
                        end = last and step == f["last_steps"]
                        rows = range(step * engine.drain, (step + 1) * engine.drain)
                        for column, bits in enumerate(word):
                            bits += [int(window[index, column]) for index in rows]
                        if len(word[0]) == engine.lanes or end:
                            for column, bits in enumerate(word):
                                stored = [0] * (engine.lanes - len(bits)) + bits
                                self.features[column, write_address] = stored
                                bits.clear()
                            write_address += 1
        return scores[:self.program.classes]

    def _sums(self, f, row, group_x, group_c, dy, dx):
        """Half of each dot product of a pass, ``(rows, columns)``."""
        engine = self.engine
        sums = np.zeros((engine.rows, engine.columns), int)
        for plane in range(f["planes"] + 1):
            sums *= 2
            for address, activations, enabled in self._beats(f, row, group_x, group_c, dy, dx, plane):
                weights = self.weights[address + group_c * f["group_taps"]]
                matches = (weights[:, None] == activations[None]).sum(axis=2)
                sums += np.where(enabled, matches - engine.lanes // 2, 0)
        return sums

    def _values(self, f, row, group_x, group_c, dy, dx):
        engine = self.engine
        sums = self._sums(f, row, group_x, group_c, dy, dx)
        used = f["last_steps"] * engine.drain + 1 if group_c == f["groups_c"] else engine.rows
        assert np.abs(sums[:used]).max() < 1 << (self.program.sum_width - 1)
        first = f["thresholds"] + group_c * engine.drain_steps
        thresholds = self.program.thresholds[first:first + engine.drain_steps].reshape(-1)
        return 2 * sums - thresholds[:, None]

    def _beats(self, f, row, group_x, group_c, dy, dx, plane):
        """(weight address, activations of each column, which columns count) of a pass and plane."""
        engine = self.engine
        stride, step = f["stride"] + 1, (f["stride"] + 1) * (f["pool"] + 1)
        top = row * step + dy * stride
        lefts = [(group_x * engine.columns + column) * step + dx * stride for column in range(engine.columns)]
        if f["image"]:
            windows = np.array([self._window(f, top, left, plane) for left in lefts])
            for word in range(f["words"] + 1):
                yield f["weights"] + word, windows[:, word], np.ones(engine.columns, bool)
            return
        window = group_c // (f["turn"] + 1) % (f["windows"] + 1) * (f["words"] + 1)
        for ky in range(f["kernel_h"] + 1):
            for kx in range(f["kernel_w"] + 1):
                inside = [0 <= top + ky - f["padding"] <= f["in_height"]
                          and 0 <= left + kx - f["padding"] <= f["in_width"] for left in lefts]
                for word in range(f["words"] + 1):
                    read = np.zeros((engine.columns, engine.lanes), int)
                    for column, left in enumerate(lefts):
                        groups, bank = divmod(f["phase"] + left + kx, engine.columns)
                        pitch = f["words"] + 1 + f["skip"]
                        address = f["address"] + (top + ky) * f["row_pitch"] + groups * pitch + window + word
                        if inside[column]:
                            read[column] = self.features[bank, address % self.addresses]
                    yield f["weights"] + ky * f["row_taps"] + kx * (f["words"] + 1) + word, read, np.array(inside)

    def _window(self, f, top, left, plane):
        """The words of one window's bit plane; pixels that the image lacks are black."""
        image, lanes = self.program.image, self.engine.lanes
        if image.flat:
            bits = self.image.reshape(-1)
        else:
            margin = self.engine.columns * image.stride * image.pool
            padded = np.pad(self.image, [(image.padding, image.padding + margin)] * 2 + [(0, 0)])
            bits = padded[top:top + image.kernel, left:left + image.kernel].reshape(-1)
            bits = bits >> (f["planes"] - plane) & 1
        words = np.zeros((f["words"] + 1) * lanes, int)
        words[:len(bits)] = bits
        return words.reshape(-1, lanes)


class WordInterpreter(Interpreter):
    """A program with words: blocks whose weights and constants come from the store, and a head of sums."""

    def __init__(self, program):
        super().__init__(program)
        unit = program.words
        self.unit = unit
        self.pairs = np.zeros((self.engine.columns, unit.depth, 2), int)
        self.store = [int(word) for word in unit.store]

    def run(self, image):
        """Scores of an 8-bit image."""
        self.image = self._levels(image)
        self.position = 0
        for fields in descriptors(self.program):
            self._fetch()
            if fields["pooled"]:
                scores = self._head(fields)
            else:
                self._block(fields)
        assert self.position == len(self.store)
        return scores

    def _fetch(self):
        header, unit, engine = self._take(32), self.unit, self.engine
        counts = header & 0xFFFF, header >> 16
        assert counts[0] <= unit.constant_depth and counts[1] <= unit.weight_depth
        self.constants = [self._take(unit.constants.width) for _ in range(counts[0])]
        words = [self._take(engine.rows * engine.lanes) for _ in range(counts[1])]
        self.words = words
        bits = [[word >> bit & 1 for bit in range(engine.rows * engine.lanes)] for word in words]
        self.weights = np.array(bits).reshape(-1, engine.rows, engine.lanes)

    def _take(self, width):
        value = 0
        for start in range(0, width, 64):
            value |= self.store[self.position] << start
            self.position += 1
        assert value < 1 << width
        return value

    def _constant(self, index, name):
        offset, width, signed = self.unit.constants.place(name)
        value = self.constants[index] >> offset & (1 << width) - 1
        return value - (1 << width) if signed and width and value >> width - 1 else value

    def _saturate(self, value, bits):
        return max(-(1 << bits - 1), min((1 << bits - 1) - 1, value))

    def _block(self, f):
        engine = self.engine
        self.around_pixel, self.word_out, self.out_address = f["around_address"], f["word_out"], f["out_address"]
        for row in range(f["rows_out"] + 1):
            for group_x in range(f["groups_x"] + 1):
                channels = []  # of each stored channel, the values of all columns and the bits
                for group_c in range(f["groups_c"] + 1):
                    sums = self._sums(f, row, group_x, group_c, 0, 0)
                    last = group_c == f["drain_groups"]
                    for tile in range(f["tiles"] + 1):
                        for index in range(engine.rows):
                            if last and index > f["last_rows"]:
                                continue
                            constant = (group_c * (f["tiles"] + 1) + tile) * engine.rows + index
                            assert np.abs(sums[index]).max() < 1 << (self.program.sum_width - 1)
                            channels.append([self._value(f, column, constant, int(sums[index, column]))
                                             for column in range(engine.columns)])
                self._store(f, channels)
                self.around_pixel += (f["around_row_step"] if group_x == f["drain_groups_x"]
                                      else f["around_pitch"] << f["around_stride"])

    def _value(self, f, column, constant, total):
        unit = self.unit
        offset = self._constant((constant + 1) % len(self.constants), "offset")
        value = self._constant(constant, "gain") * total + offset
        value = self._saturate(value >> unit.shift, unit.bits + 2)
        if f["around"]:
            value = self._saturate(value + self._around(f, column, constant), unit.bits)
        if unit.constants.bends:
            value = self._saturate(value + self._constant(constant, "before"), unit.bits + 2)
            slope = self._constant(constant, "positive" if value >= 0 else "negative")
            value = self._saturate((slope * value + 512) >> 10, unit.bits)
            value = self._saturate(value + self._constant(constant, "after"), unit.bits)
        value = max(unit.low, min(unit.high, value))
        return value, int(value >= self._constant(constant, "threshold"))

    def _around(self, f, column, constant):
        """The shortcut's word of a channel; a pixel beyond the map reads whatever lies there."""
        even = constant - constant % 2
        if not self._constant(even, "around"):
            return 0
        found = []
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1))[:4 if f["average"] else 1]:
            groups, bank = divmod((column << f["around_stride"]) + dx, self.engine.columns)
            address = (self.around_pixel + dy * f["around_row_pitch"] + groups * f["around_pitch"]
                       + self._constant(even, "source"))
            found.append(int(self.pairs[bank, address % self.unit.depth, constant % 2]))
        return found[0] if len(found) == 1 else (sum(found) + 2) >> 2

    def _store(self, f, channels):
        lanes, columns = self.engine.lanes, self.engine.columns
        if f["keep"]:
            for index in range(0, len(channels), 2):
                for column in range(columns):
                    self.pairs[column, self.word_out] = [channels[index + half][column][0] for half in (0, 1)]
                self.word_out += 1 if index < len(channels) - 2 else f["word_step"]
        if f["bits"]:
            for start in range(0, len(channels), lanes):
                part = channels[start:start + lanes]
                for column in range(columns):
                    bits = [channel[column][1] for channel in part]
                    stored = [0] * (lanes - len(bits)) + bits
                    self.features[column, self.out_address] = stored
                self.out_address += 1 if start < len(channels) - lanes else f["out_step"]

    def _head(self, f):
        unit, classes = self.unit, self.program.classes
        scores = [self.constants[index] & 0xFFFFFFFF for index in range(classes)]
        scores = [score - (1 << 32) if score >> 31 else score for score in scores]
        each = min(classes, self.engine.rows * self.engine.lanes // 8)
        parts = -(-classes // each)
        for channel in range(2 * unit.head_pairs):
            total = 0
            for group in range(unit.head_pixels):
                address = f["around_address"] + group * f["around_pitch"] + channel // 2
                end = group % (f["drain_groups_x"] + 1) == f["drain_groups_x"]
                columns = unit.head_columns if end else self.engine.columns
                total += int(self.pairs[:columns, address, channel % 2].sum())
            total = total + (1 << unit.head_reduce >> 1) >> unit.head_reduce
            for index in range(classes):
                byte = self.words[channel * parts + index // each] >> 8 * (index % each) & 0xFF
                scores[index] += (2 * byte - 255) * total
        assert all(abs(score) < 1 << (self.program.score_width - 1) for score in scores)
        return scores
