// Sends all beats of standard input ("data last" a line, data in hexadecimal), calls the shell once per sample
// (argument), and prints what comes back as "data keep strb last".
#include "fpgaflow_axi.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

int main(int, char **arguments) {
    hls::stream<input_beat_t> source("source");
    hls::stream<output_beat_t> sink("sink");
    uint64_t data;
    unsigned last;
    while (std::scanf("%" SCNx64 " %u", &data, &last) == 2) {
        input_beat_t beat;
        beat.data = data;
        beat.keep = beat.strb = -1;
        beat.last = last;
        source.write(beat);
    }
    for (int sample = std::atoi(arguments[1]); sample > 0; sample--)
        fpgaflow_axi(source, sink);
    while (!sink.empty()) {
        const output_beat_t beat = sink.read();
        std::printf("%" PRIx64 " %x %x %x\n", (uint64_t)beat.data.to_uint64(), (unsigned)beat.keep, (unsigned)beat.strb,
                    (unsigned)beat.last);
    }
    return source.empty() ? 0 : 1;
}
