// A netlist as the design that bench.cpp drives: at a low clock each gate is worked out once, in the order that gates.py
// chose; at a rising one, what registers and memories take then. gates.py writes `design.cpp` around it.
//
// The file PROGRAM is of 32-bit little-endian words: nets, and the value of each at the start; ports, each as its bits
// and their nets; memories, each as words, number of the first, bits of a word, and all bits; then two lists that END
// closes, of what follows inputs and of what follows the clock. Their entries are a kind, a count, and so many of:
//   1 to 6  a table of as many inputs: inputs, output, table (two words at 6)
//   MUL     a product: 1 if signed, bits of both factors and of the product, their nets
//   READ    a memory's word: memory, bits of the address, nets of the address, of the word
//   FLOP    a register: its next value, its value
//   WRITE   a memory's word: memory, bits of the address, nets of the address, of the bits' enables, of the word
#include <cxxrtl/cxxrtl.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

class Gates {
    enum { END = 0, MUL = 7, READ = 8, FLOP = 9, WRITE = 10 };
    struct Memory {
        uint32_t words, first, bits;
        std::vector<uint8_t> content;
    };
    std::vector<uint32_t> program;
    std::vector<uint8_t> net, next;
    std::vector<const uint32_t *> ports;
    std::vector<Memory> memories;
    const uint32_t *gates = nullptr, *registers = nullptr;
    bool clock = false;

    [[noreturn]] static void fail(const char *what) {
        std::fprintf(stderr, "%s: %s\n", PROGRAM, what);
        std::exit(1);
    }

    uint64_t number(const uint32_t *nets, uint32_t bits) const {
        uint64_t found = 0;
        for (uint32_t bit = 0; bit < bits; bit++) found |= uint64_t(net[nets[bit]]) << bit;
        return found;
    }

    uint8_t *word(Memory &memory, const uint32_t *address, uint32_t bits) {
        const uint64_t place = number(address, bits) - memory.first;
        return place < memory.words ? &memory.content[place * memory.bits] : nullptr;
    }

    template <int Inputs>
    const uint32_t *tables(const uint32_t *at, uint32_t count) {
        uint8_t *const values = net.data();
        for (; count; count--) {
            uint32_t index = 0;
            for (int input = 0; input < Inputs; input++) index |= uint32_t(values[at[input]]) << input;
            uint64_t table = at[Inputs + 1];
            if (Inputs == 6) table |= uint64_t(at[Inputs + 2]) << 32;
            values[at[Inputs]] = table >> index & 1;
            at += Inputs == 6 ? 9 : Inputs + 2;
        }
        return at;
    }

    const uint32_t *products(const uint32_t *at, uint32_t count) {
        for (; count; count--) {
            const bool is_signed = at[0];
            const uint32_t bits[] = {at[1], at[2], at[3]};
            uint64_t factors[2];
            at += 4;
            for (int side = 0; side < 2; side++) {
                factors[side] = number(at, bits[side]);
                at += bits[side];
                if (is_signed && factors[side] >> (bits[side] - 1)) factors[side] |= ~uint64_t(0) << (bits[side] - 1);
            }
            const uint64_t product = factors[0] * factors[1];
            for (uint32_t bit = 0; bit < bits[2]; bit++) net[*at++] = product >> bit & 1;
        }
        return at;
    }

    const uint32_t *reads(const uint32_t *at, uint32_t count) {
        for (; count; count--) {
            Memory &memory = memories[at[0]];
            const uint8_t *from = word(memory, at + 2, at[1]);
            at += 2 + at[1];
            for (uint32_t bit = 0; bit < memory.bits; bit++) net[*at++] = from ? from[bit] : 0;
        }
        return at;
    }

    const uint32_t *writes(const uint32_t *at, uint32_t count) {
        for (; count; count--) {
            Memory &memory = memories[at[0]];
            uint8_t *to = word(memory, at + 2, at[1]);
            at += 2 + at[1];
            for (uint32_t bit = 0; to && bit < memory.bits; bit++)
                if (net[at[bit]]) to[bit] = net[at[memory.bits + bit]];
            at += 2 * memory.bits;
        }
        return at;
    }

    const uint32_t *flops(const uint32_t *at, uint32_t count) {
        next.resize(count);  // one's value may be another's next
        for (uint32_t flop = 0; flop < count; flop++) next[flop] = net[at[2 * flop]];
        for (uint32_t flop = 0; flop < count; flop++) net[at[2 * flop + 1]] = next[flop];
        return at + 2 * count;
    }

    void work(const uint32_t *at) {
        while (*at != END) {
            const uint32_t kind = at[0], count = at[1];
            at += 2;
            switch (kind) {
            case 1: at = tables<1>(at, count); break;
            case 2: at = tables<2>(at, count); break;
            case 3: at = tables<3>(at, count); break;
            case 4: at = tables<4>(at, count); break;
            case 5: at = tables<5>(at, count); break;
            case 6: at = tables<6>(at, count); break;
            case MUL: at = products(at, count); break;
            case READ: at = reads(at, count); break;
            case FLOP: at = flops(at, count); break;
            case WRITE: at = writes(at, count); break;
            default: fail("has an entry of an unknown kind");
            }
        }
    }

  protected:
    Gates() {
        std::FILE *file = std::fopen(PROGRAM, "rb");
        if (!file || std::fseek(file, 0, SEEK_END)) fail("cannot be read");
        program.resize(size_t(std::ftell(file)) / sizeof(uint32_t));
        std::rewind(file);
        if (std::fread(program.data(), sizeof(uint32_t), program.size(), file) != program.size()) fail("cannot be read");
        std::fclose(file);
        const uint32_t *at = program.data();
        net.assign(at + 1, at + 1 + at[0]);
        at += 1 + at[0];
        for (uint32_t left = *at++; left; left--) {
            ports.push_back(at);
            at += 1 + at[0];
        }
        for (uint32_t left = *at++; left; left--) {
            const size_t size = size_t(at[0]) * at[2];
            memories.push_back({at[0], at[1], at[2], {at + 3, at + 3 + size}});
            at += 3 + size;
        }
        const uint32_t words = *at++;
        gates = at;
        registers = at + words;
    }

    // Takes the clock's level, which it returns: at its rise registers and memories take their values.
    bool tick(bool level) {
        const bool edge = level && !clock;
        clock = level;
        if (edge) work(registers);
        return level;
    }

    void settle() { work(gates); }

    template <size_t Bits>
    void give(size_t port, const cxxrtl::value<Bits> &value) {
        for (size_t bit = 0; bit < Bits; bit++) net[ports[port][1 + bit]] = value.data[bit / 32] >> bit % 32 & 1;
    }

    template <size_t Bits>
    void take(size_t port, cxxrtl::value<Bits> &value) const {
        value = {};
        for (size_t bit = 0; bit < Bits; bit++) value.data[bit / 32] |= uint32_t(net[ports[port][1 + bit]]) << bit % 32;
    }
};
