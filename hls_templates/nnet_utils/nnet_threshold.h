#ifndef NNET_THRESHOLD_H_
#define NNET_THRESHOLD_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_common.h"
#include "nnet_types.h"

// A quantiser of any scale: the output's integer is offset + step * (number of thresholds that the input reaches).

namespace nnet {

struct threshold_config {
    static const unsigned n_in = 10;
    static const unsigned n_levels = 1;
    static const unsigned n_channels = 1; // rows of the threshold table; 1 where all channels share them
    static const unsigned n_inner = 1;    // consecutive elements of one channel
    static const long long offset = 0;
    static const long long step = 1;
    static const unsigned reuse_factor = 1;
    typedef float threshold_t;
    typedef float sign_t;
};

template <class data_T, class res_T, typename CONFIG_T>
res_T threshold_element(data_T x, unsigned element, typename CONFIG_T::threshold_t thresholds[],
                        typename CONFIG_T::sign_t signs[]) {
    #pragma HLS INLINE

    typedef ap_uint<ceillog2(CONFIG_T::n_levels + 1)> count_t;
    const unsigned channel = element / CONFIG_T::n_inner % CONFIG_T::n_channels;
    const bool falling = signs[channel] != 0;

    count_t reached[CONFIG_T::n_levels];
    #pragma HLS ARRAY_PARTITION variable=reached complete
Compare:
    for (unsigned level = 0; level < CONFIG_T::n_levels; level++) {
        #pragma HLS UNROLL
        const typename CONFIG_T::threshold_t threshold = thresholds[channel * CONFIG_T::n_levels + level];
        reached[level] = falling ? -x >= threshold : x >= threshold;
    }
    Op_add<count_t> add;
    const count_t count = reduce<count_t, CONFIG_T::n_levels, Op_add<count_t>>(reached, add);

    const ap_int<res_T::width + 1> level = CONFIG_T::offset + CONFIG_T::step * count.to_uint();
    res_T result = 0;
    result(res_T::width - 1, 0) = level(res_T::width - 1, 0); // the integer, whatever the binary point
    return result;
}

template <class data_T, class res_T, typename CONFIG_T>
void threshold(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in],
               typename CONFIG_T::threshold_t thresholds[CONFIG_T::n_channels * CONFIG_T::n_levels],
               typename CONFIG_T::sign_t signs[CONFIG_T::n_channels]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS ARRAY_PARTITION variable=thresholds complete
    #pragma HLS ARRAY_PARTITION variable=signs complete

Elements:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        res[i] = threshold_element<data_T, res_T, CONFIG_T>(data[i], i, thresholds, signs);
    }
}

// A flattened input arrives in shorter beats than the output leaves in: hls4ml flattens streams without repacking them.
template <class data_T, class res_T, typename CONFIG_T>
void threshold(hls::stream<data_T> &data, hls::stream<res_T> &res,
               typename CONFIG_T::threshold_t thresholds[CONFIG_T::n_channels * CONFIG_T::n_levels],
               typename CONFIG_T::sign_t signs[CONFIG_T::n_channels]) {
    static_assert(res_T::size % data_T::size == 0, "an output beat holds whole input beats");
    #pragma HLS ARRAY_PARTITION variable=thresholds complete
    #pragma HLS ARRAY_PARTITION variable=signs complete

    res_T out_data;
    PRAGMA_DATA_PACK(out_data)

Beats:
    for (unsigned beat = 0; beat < CONFIG_T::n_in / data_T::size; beat++) {
        #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
        const data_T in_data = data.read();

    Elements:
        for (unsigned j = 0; j < data_T::size; j++) {
            #pragma HLS UNROLL
            const unsigned element = beat * data_T::size + j;
            out_data[element % res_T::size] =
                threshold_element<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(in_data[j], element,
                                                                                                     thresholds, signs);
        }
        if ((beat + 1) * data_T::size % res_T::size == 0) {
            res.write(out_data);
        }
    }
}

} // namespace nnet

#endif
