#ifndef NNET_ONE_HOT_MAX_H_
#define NNET_ONE_HOT_MAX_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_common.h"
#include "nnet_types.h"

// 1 at the first maximum of so many consecutive elements, 0 elsewhere.

namespace nnet {

struct one_hot_max_config {
    static const long long n_in = 10;
    static const long long n_classes = 10;
};

// The place of the first maximum: of each pair of halves the later wins only where it is greater.
template <class data_T, unsigned COUNT> struct first_max {
    static unsigned of(const data_T x[COUNT], unsigned start) {
        #pragma HLS INLINE
        const unsigned a = first_max<data_T, COUNT / 2>::of(x, start);
        const unsigned b = first_max<data_T, COUNT - COUNT / 2>::of(x, start + COUNT / 2);
        return x[b] > x[a] ? b : a;
    }
};

template <class data_T> struct first_max<data_T, 1> {
    static unsigned of(const data_T x[], unsigned start) {
        #pragma HLS INLINE
        return start;
    }
};

template <class data_T, class res_T, typename CONFIG_T>
void one_hot_max(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in]) {
    #pragma HLS PIPELINE II=1

Groups:
    for (unsigned start = 0; start < CONFIG_T::n_in; start += CONFIG_T::n_classes) {
        #pragma HLS UNROLL
        const unsigned place = first_max<data_T, CONFIG_T::n_classes>::of(data, start);
    Classes:
        for (unsigned i = start; i < start + CONFIG_T::n_classes; i++) {
            #pragma HLS UNROLL
            res[i] = i == place;
        }
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void one_hot_max(hls::stream<data_T> &data, hls::stream<res_T> &res) {
    static_assert(data_T::size == CONFIG_T::n_classes && res_T::size == CONFIG_T::n_classes, "a beat has all classes");

Beats:
    for (unsigned beat = 0; beat < CONFIG_T::n_in / data_T::size; beat++) {
        #pragma HLS PIPELINE II=1
        const data_T in_data = data.read();
        typename data_T::value_type values[data_T::size];
        #pragma HLS ARRAY_PARTITION variable=values complete
        res_T out_data;
        PRAGMA_DATA_PACK(out_data)

    Copy:
        for (unsigned i = 0; i < data_T::size; i++) {
            #pragma HLS UNROLL
            values[i] = in_data[i];
        }
        const unsigned place = first_max<typename data_T::value_type, CONFIG_T::n_classes>::of(values, 0);
    Classes:
        for (unsigned i = 0; i < data_T::size; i++) {
            #pragma HLS UNROLL
            out_data[i] = i == place;
        }
        res.write(out_data);
    }
}

} // namespace nnet

#endif
