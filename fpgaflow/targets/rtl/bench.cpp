// Runs fpgaflow_top, as Yosys' CXXRTL compiled it, against a file of beats. All numbers are 64-bit little-endian words.
//
// Arguments: input, output, beats of a sample in, beats of a sample out, samples, seed, stall of the source, stall of
// the sink (each in percent of the cycles), sample after whose first beats a reset comes (or -1), cycles at most; and,
// where it was compiled with WAVES, a VCD file to write.
// Output: for each beat TLAST, then TDATA; then for each sample the cycle of its first beat in and of its last one out;
// then the cycles in all. The exit status is 0, or 3 where the design broke AXI4-Stream's rules, or 4 where it hung.
#include "design.cpp"

#ifdef WAVES
#include <cxxrtl/cxxrtl_vcd.h>

#include <fstream>
#endif

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

using word = uint64_t;

template <size_t Bits>
static void put(cxxrtl::value<Bits> &target, const word *from) {
    for (size_t chunk = 0; chunk < cxxrtl::value<Bits>::chunks; chunk++)
        target.data[chunk] = uint32_t(from[chunk / 2] >> (chunk % 2 * 32));
}

template <size_t Bits>
static void get(const cxxrtl::value<Bits> &source, word *to) {
    for (size_t chunk = 0; chunk < cxxrtl::value<Bits>::chunks; chunk++)
        to[chunk / 2] |= word(source.data[chunk]) << (chunk % 2 * 32);
}

// A port is a wire where registers drive it as they are, else a value.
template <size_t Bits>
static const cxxrtl::value<Bits> &current(const cxxrtl::value<Bits> &port) {
    return port;
}

template <size_t Bits>
static const cxxrtl::value<Bits> &current(const cxxrtl::wire<Bits> &port) {
    return port.curr;
}

static word random_state;

static bool chance(int percent) {  // xorshift64*, Vigna 2016
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return int((random_state * 2685821657736338717ULL >> 33) % 100) < percent;
}

static int fail(int status, const char *what, word cycle) {
    std::fprintf(stderr, "%s in cycle %llu\n", what, (unsigned long long)cycle);
    return status;
}

#ifdef WAVES
class Waves {  // written as it runs: a design that hangs leaves its last cycle
    cxxrtl::vcd_writer writer;
    std::ofstream file;

  public:
    Waves(cxxrtl::module &top, const char *name) : file(name) {
        cxxrtl::debug_items items;
        top.debug_info(&items, nullptr, "");
        writer.timescale(1, "ns");
        writer.add(items);
    }
    bool sample(word time) {
        writer.sample(time);
        file << writer.buffer;
        writer.buffer.clear();
        return bool(file);
    }
};
#endif

int main(int argc, char **argv) {
    const word beats_in = std::atoll(argv[3]), beats_out = std::atoll(argv[4]), samples = std::atoll(argv[5]);
    random_state = std::strtoull(argv[6], nullptr, 10) * 2 + 1;
    const int source_stall = std::atoi(argv[7]), sink_stall = std::atoi(argv[8]);
    const long long reset_sample = std::atoll(argv[9]);
    const word most = std::strtoull(argv[10], nullptr, 10);

    cxxrtl_design::p_fpgaflow__top top;
#ifdef WAVES
    Waves waves(top, argc > 11 ? argv[11] : "/dev/null");
#else
    if (argc > 11) return fail(1, "compiled without waves", 0);
#endif
    const size_t in_words = (sizeof(current(top.p_s__axis__tdata).data) + 7) / 8;
    const size_t out_words = (sizeof(current(top.p_m__axis__tdata).data) + 7) / 8;
    std::vector<word> input(beats_in * samples * in_words), output, now(out_words), held(out_words);
    std::vector<word> first_in(samples), last_out(samples);
    FILE *file = std::fopen(argv[1], "rb");
    if (!file || std::fread(input.data(), sizeof(word), input.size(), file) != input.size())
        return fail(1, "input is too short", 0);
    std::fclose(file);

    word sent = 0, got = 0, cycle = 0;
    bool offered = false, waited = false, held_last = false, was_reset = reset_sample < 0;
    int reset_left = 4;
    for (; got < beats_out * samples; cycle++) {
        if (cycle >= most) return fail(4, "no more output", cycle);
        if (!was_reset && sent > word(reset_sample) * beats_in + beats_in / 2) {
            // What is on its way is lost: the run begins anew, with the sample that was being sent.
            was_reset = true;
            reset_left = 3;
            sent = got = 0;
            output.clear();
            offered = waited = false;
        }
        const bool in_reset = reset_left > 0;
        reset_left -= in_reset;
        if (!offered) offered = !in_reset && sent < beats_in * samples && !chance(source_stall);
        const bool ready = !chance(sink_stall);
        top.p_aresetn.template set<bool>(!in_reset);
        top.p_s__axis__tvalid.template set<bool>(offered);
        if (offered) put(top.p_s__axis__tdata, &input[sent * in_words]);
        top.p_s__axis__tlast.template set<bool>(offered && sent % beats_in == beats_in - 1);
        top.p_m__axis__tready.template set<bool>(ready);
        top.p_aclk.template set<bool>(false);
        top.step();
#ifdef WAVES
        if (!waves.sample(10 * cycle)) return fail(1, "the VCD file cannot be written", cycle);
#endif

        const bool valid = top.p_m__axis__tvalid.template get<bool>(), last = top.p_m__axis__tlast.template get<bool>();
        now.assign(out_words, 0);
        get(current(top.p_m__axis__tdata), now.data());
        if (in_reset && valid) return fail(3, "TVALID during reset", cycle);
        if (waited && !valid) return fail(3, "TVALID fell before TREADY", cycle);
        if (waited && (now != held || last != held_last)) return fail(3, "a waiting beat changed", cycle);
        waited = valid && !ready;
        held = now;
        held_last = last;
        if (offered && top.p_s__axis__tready.template get<bool>()) {
            if (sent % beats_in == 0) first_in[sent / beats_in] = cycle;
            sent++;
            offered = false;
        }
        if (valid && ready) {
            output.push_back(last);
            output.insert(output.end(), now.begin(), now.end());
            if (++got % beats_out == 0) last_out[got / beats_out - 1] = cycle;
        }
        top.p_aclk.template set<bool>(true);
        top.step();
#ifdef WAVES
        waves.sample(10 * cycle + 5);
#endif
    }
    file = std::fopen(argv[2], "wb");
    for (const std::vector<word> *part : {&output, &first_in, &last_out})
        std::fwrite(part->data(), sizeof(word), part->size(), file);
    std::fwrite(&cycle, sizeof(word), 1, file);
    return std::fclose(file);
}
