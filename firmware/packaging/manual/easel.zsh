#compdef easel

autoload -U is-at-least

_easel() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_easel_commands" \
"*::: :->easel" \
&& ret=0
    case $state in
    (easel)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:easel-command-$line[1]:"
        case $line[1] in
            (paint)
_arguments "${_arguments_options[@]}" : \
'--model=[Model directory \[default\: EASEL_MODEL, models/pocket, then the installed model\]]:DIR:_files' \
'--memory=[Memory that the process may take at most; weights that do not fit are read while they are needed]:MIB:_default' \
'--threads=[Worker threads \[default\: all cores\]]:N:_default' \
'--cache=[Folder for what is made of a model at its first start; \`off\` keeps nothing \[default\: EASEL_CACHE, then easel in the user'\''s cache folder\]]:DIR:_default' \
'--out=[Where the picture goes \[default\: easel-SEED.png\]]:FILE.png:_files' \
'--negative=[What to keep out of the picture]:TEXT:_default' \
'--size=[Picture size in pixels \[default\: the model'\''s\]]:WxH:_default' \
'--steps=[Denoising steps \[default\: the model'\''s\]]:N:_default' \
'--guidance=[How closely to follow the prompt; 1 turns guidance off and halves the work \[default\: the model'\''s\]]:G:_default' \
'--true-guidance=[Guidance by a second pass, for models that are told theirs (Flux)\: 1 to 50]:G:_default' \
'--guidance-rescale=[Pull contrast back after strong guidance, 0 to 1]:R:_default' \
'--eta=[How much of each jump of tcd is fresh noise, 0 to 1 \[default\: 0.3\]]:E:_default' \
'--clip-skip=[Leave out so many of the text encoders'\'' last layers, 0 to 64]:N:_default' \
'--text-tokens=[Tokens of the text that T5 reads; fewer take less time, 4 to 512 \[default\: the model'\''s\]]:N:_default' \
'--scheduler=[ddpm, ddim, euler, euler-ancestral, dpmpp-2m, dpmpp-2m-karras, dpmpp-sde, lcm, unipc, deis, heun, lms, kdpm2, kdpm2-ancestral, dpmpp-2s, dpmpp-2s-sde, tcd, pndm or flow-euler \[default\: the model'\''s\]]:NAME:_default' \
'--seed=[The same seed gives the same picture \[default\: random, and printed\]]:N:_default' \
'--latents=[Initial noise, f32 \[1,c,h/f,w/f\], standard normal (f is the model'\''s VAE factor)]:IN.npy:_files' \
'--save-latents=[Save the final latents, before they become a picture]:OUT.npy:_files' \
'--image=[Begin with this picture, PNG, JPEG or WebP; without --size its shape is kept]:FILE:_files' \
'--strength=[How much of --image is given up, 0 to 1 \[default\: 0.8, with --mask 1\]]:S:_default' \
'--mask=[What of --image is painted anew\: white; black stays as it is]:FILE:_files' \
'--image-guidance=[How closely to keep to --image, 1 to 50, of models that change pictures as they are told \[default\: 1.5\]]:G:_default' \
'*--controlnet=[Folder of a ControlNet, once for each --control \[default\: controlnet, controlnet_1 … of the model\]]:DIR:_files' \
'*--control=[Follow this picture; canny\:FILE follows the edges of one, qr\:TEXT a code that says TEXT]:[PREPROCESSOR:]FILE:_default' \
'*--control-scale=[How much a --control counts, 0 to 2, in their order \[default\: 1\]]:S:_default' \
'*--control-start=[The share of the steps before a --control counts, 0 to 1, in their order \[default\: 0\]]:F:_default' \
'*--control-end=[The share of the steps after which a --control does not count, 0 to 1, in their order \[default\: 1\]]:F:_default' \
'--ip-image=[Paint like this picture]:FILE:_files' \
'--ip-scale=[How much like --ip-image, 0 to 2 \[default\: 1\]]:S:_default' \
'--no-paste[With --mask\: leave what stays as the model'\''s autoencoder gives it back]' \
'--control-guess[Let --control have the say where the prompt has none]' \
'--json[Print one line of JSON on standard output]' \
'--quiet[No progress]' \
'-h[Print help]' \
'--help[Print help]' \
':prompt -- What to paint; `-` reads it from standard input:_default' \
&& ret=0
;;
(bench)
_arguments "${_arguments_options[@]}" : \
'--model=[Model directory \[default\: EASEL_MODEL, models/pocket, then the installed model\]]:DIR:_files' \
'--memory=[Memory that the process may take at most; weights that do not fit are read while they are needed]:MIB:_default' \
'--threads=[Worker threads \[default\: all cores\]]:N:_default' \
'--cache=[Folder for what is made of a model at its first start; \`off\` keeps nothing \[default\: EASEL_CACHE, then easel in the user'\''s cache folder\]]:DIR:_default' \
'--component=[Folder of a network, as text_encoder, unet or vae_decoder \[default\: the denoiser\]]:NAME:_default' \
'--size=[Picture size in pixels; the text encoder works alike for all \[default\: the model'\''s\]]:WxH:_default' \
'--storage=[Read weights no faster than so, to see what a slower card would do]:MB/S:_default' \
'--repeat=[Passes to time, 1 to 10000, after one that is not timed]:N:_default' \
'--guided[Time passes of both halves of guidance, as painting makes them]' \
'--explain[Also print where the time of a pass goes, by kind of node]' \
'(--component --size --guided --storage --repeat --explain)--report[Measure this machine with a fixed set of things and print what can be sent to easel'\''s makers]' \
'--json[Print one line of JSON on standard output]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(serve)
_arguments "${_arguments_options[@]}" : \
'--board=[The board'\''s configuration]:FILE.toml:_files' \
'--state=[Folder for queue, history and settings \[default\: STATE_DIRECTORY, then easel in the user'\''s state folder\]]:DIR:_files' \
'--cache=[Folder for what is made of a model at its first start; \`off\` keeps nothing \[default\: EASEL_CACHE, then easel in the user'\''s cache folder\]]:DIR:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(plan)
_arguments "${_arguments_options[@]}" : \
'--model=[Model directory \[default\: EASEL_MODEL, models/pocket, then the installed model\]]:DIR:_files' \
'--memory=[Memory that the process may take at most; weights that do not fit are read while they are needed]:MIB:_default' \
'--threads=[Worker threads \[default\: all cores\]]:N:_default' \
'--cache=[Folder for what is made of a model at its first start; \`off\` keeps nothing \[default\: EASEL_CACHE, then easel in the user'\''s cache folder\]]:DIR:_default' \
'--size=[Picture size in pixels \[default\: the model'\''s\]]:WxH:_default' \
'--controls=[With pictures for so many ControlNets]:N:_default' \
'--component=[Of one network by itself, by its folder, as text_encoder, unet or vae_decoder; a denoiser guided \[default\: a whole picture\]]:NAME:_default' \
'--image[With a picture to begin with]' \
'--ip-image[With a picture to paint like]' \
'--json[Print one line of JSON on standard output]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(import)
_arguments "${_arguments_options[@]}" : \
'--config=[Of a checkpoint in one file, what the file does not say\: a folder with diffusers'\'' configurations, or what the U-Net predicts, epsilon or v_prediction \[default\: as the published models of its shape\]]:DIR|PREDICTION:_default' \
'--out=[The model directory to make; it must not be there yet]:DIR:_files' \
'--revision=[A branch, tag or commit of the hub'\''s repository \[default\: main\]]:R:_default' \
'--precision=[How weights are stored\: int8 is smallest and fastest]:KIND:(int8 fp16 fp32)' \
'--decoder=[Another autoencoder for the checkpoint'\''s own, as TAESD, which paints faster\: a folder of diffusers, a file (.safetensors), or a name of the hub]:DIR|FILE:_files' \
'*--lora=[A LoRA for the checkpoint (.safetensors, or OWNER/NAME/FILE.safetensors on the hub), and how strong it is \[default\: 1\]; may be given several times]:FILE[:SCALE]:_default' \
'--ip-adapter=[An IP-Adapter, plain or Plus, in its authors'\'' format (.safetensors)]:FILE:_files' \
'--image-encoder=[The folder of its image encoder \[default\: where it is published, beside the adapter\]]:DIR:_files' \
'--size=[Picture size of the model where none is asked for \[default\: the checkpoint'\''s\]]:WxH:_default' \
'--steps=[Denoising steps, likewise]:N:_default' \
'--guidance=[Guidance scale, likewise, 0 to 50]:G:_default' \
'--scheduler=[Sampler, likewise]:NAME:_default' \
'(--out --revision)--list[Print models that suit small boards, and import nothing]' \
'--json[Print one line of JSON on standard output]' \
'--quiet[No progress]' \
'-h[Print help]' \
'--help[Print help]' \
'::source -- A folder that diffusers saved\: a whole checkpoint, or a ControlNet alone; a file with a whole checkpoint (.safetensors); a folder of ONNX networks; or OWNER/NAME on the Hugging Face hub:_files' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'--board=[The board'\''s configuration]:FILE.toml:_files' \
'--state=[The state folder of \`easel serve\` \[default\: as easel serve; for a board in /etc/easel /var/lib/easel\]]:DIR:_files' \
'--no-display[Show no test pattern]' \
'(--json --no-display --state)--print-config[Print the configuration as it is after inheritance, with all defaults, and check nothing]' \
'--json[Print one line of JSON on standard output]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_easel__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:easel-help-command-$line[1]:"
        case $line[1] in
            (paint)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(bench)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(serve)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(plan)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(import)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_easel_commands] )) ||
_easel_commands() {
    local commands; commands=(
'paint:Paint one picture from a prompt' \
'bench:Time one network of a model' \
'serve:Paint what comes over MQTT, from a playlist and from buttons, for years' \
'plan:Show what painting takes of memory' \
'import:Make a model of a checkpoint' \
'doctor:Check a board'\''s configuration, its model and this machine' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'easel commands' commands "$@"
}
(( $+functions[_easel__subcmd__bench_commands] )) ||
_easel__subcmd__bench_commands() {
    local commands; commands=()
    _describe -t commands 'easel bench commands' commands "$@"
}
(( $+functions[_easel__subcmd__doctor_commands] )) ||
_easel__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'easel doctor commands' commands "$@"
}
(( $+functions[_easel__subcmd__help_commands] )) ||
_easel__subcmd__help_commands() {
    local commands; commands=(
'paint:Paint one picture from a prompt' \
'bench:Time one network of a model' \
'serve:Paint what comes over MQTT, from a playlist and from buttons, for years' \
'plan:Show what painting takes of memory' \
'import:Make a model of a checkpoint' \
'doctor:Check a board'\''s configuration, its model and this machine' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'easel help commands' commands "$@"
}
(( $+functions[_easel__subcmd__help__subcmd__bench_commands] )) ||
_easel__subcmd__help__subcmd__bench_commands() {
    local commands; commands=()
    _describe -t commands 'easel help bench commands' commands "$@"
}
(( $+functions[_easel__subcmd__help__subcmd__doctor_commands] )) ||
_easel__subcmd__help__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'easel help doctor commands' commands "$@"
}
(( $+functions[_easel__subcmd__help__subcmd__help_commands] )) ||
_easel__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'easel help help commands' commands "$@"
}
(( $+functions[_easel__subcmd__help__subcmd__import_commands] )) ||
_easel__subcmd__help__subcmd__import_commands() {
    local commands; commands=()
    _describe -t commands 'easel help import commands' commands "$@"
}
(( $+functions[_easel__subcmd__help__subcmd__paint_commands] )) ||
_easel__subcmd__help__subcmd__paint_commands() {
    local commands; commands=()
    _describe -t commands 'easel help paint commands' commands "$@"
}
(( $+functions[_easel__subcmd__help__subcmd__plan_commands] )) ||
_easel__subcmd__help__subcmd__plan_commands() {
    local commands; commands=()
    _describe -t commands 'easel help plan commands' commands "$@"
}
(( $+functions[_easel__subcmd__help__subcmd__serve_commands] )) ||
_easel__subcmd__help__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'easel help serve commands' commands "$@"
}
(( $+functions[_easel__subcmd__import_commands] )) ||
_easel__subcmd__import_commands() {
    local commands; commands=()
    _describe -t commands 'easel import commands' commands "$@"
}
(( $+functions[_easel__subcmd__paint_commands] )) ||
_easel__subcmd__paint_commands() {
    local commands; commands=()
    _describe -t commands 'easel paint commands' commands "$@"
}
(( $+functions[_easel__subcmd__plan_commands] )) ||
_easel__subcmd__plan_commands() {
    local commands; commands=()
    _describe -t commands 'easel plan commands' commands "$@"
}
(( $+functions[_easel__subcmd__serve_commands] )) ||
_easel__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'easel serve commands' commands "$@"
}

if [ "$funcstack[1]" = "_easel" ]; then
    _easel "$@"
else
    compdef _easel easel
fi
