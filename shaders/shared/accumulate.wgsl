// Another term of the distances of one number to four.

fn accumulate(sum: vec4<f32>, a: f32, b: vec4<f32>) -> vec4<f32> {
#if L2
    let difference = vec4<f32>(a) - b;
    return fma(difference, difference, sum);
#else
    return fma(vec4<f32>(-a), b, sum);
#endif
}
