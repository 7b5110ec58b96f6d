# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_easel_global_optspecs
    string join \n h/help V/version
end

function __fish_easel_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_easel_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_easel_using_subcommand
    set -l cmd (__fish_easel_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c easel -n "__fish_easel_needs_command" -s h -l help -d 'Print help'
complete -c easel -n "__fish_easel_needs_command" -s V -l version -d 'Print version'
complete -c easel -n "__fish_easel_needs_command" -f -a "paint" -d 'Paint one picture from a prompt'
complete -c easel -n "__fish_easel_needs_command" -f -a "bench" -d 'Time one network of a model'
complete -c easel -n "__fish_easel_needs_command" -f -a "serve" -d 'Paint what comes over MQTT, from a playlist and from buttons, for years'
complete -c easel -n "__fish_easel_needs_command" -f -a "plan" -d 'Show what painting takes of memory'
complete -c easel -n "__fish_easel_needs_command" -f -a "import" -d 'Make a model of a checkpoint'
complete -c easel -n "__fish_easel_needs_command" -f -a "doctor" -d 'Check a board\'s configuration, its model and this machine'
complete -c easel -n "__fish_easel_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c easel -n "__fish_easel_using_subcommand paint" -l model -d 'Model directory [default: EASEL_MODEL, models/pocket, then the installed model]' -r -F
complete -c easel -n "__fish_easel_using_subcommand paint" -l memory -d 'Memory that the process may take at most; weights that do not fit are read while they are needed' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l threads -d 'Worker threads [default: all cores]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l cache -d 'Folder for what is made of a model at its first start; `off` keeps nothing [default: EASEL_CACHE, then easel in the user\'s cache folder]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l out -d 'Where the picture goes [default: easel-SEED.png]' -r -F
complete -c easel -n "__fish_easel_using_subcommand paint" -l negative -d 'What to keep out of the picture' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l size -d 'Picture size in pixels [default: the model\'s]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l steps -d 'Denoising steps [default: the model\'s]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l guidance -d 'How closely to follow the prompt; 1 turns guidance off and halves the work [default: the model\'s]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l true-guidance -d 'Guidance by a second pass, for models that are told theirs (Flux): 1 to 50' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l guidance-rescale -d 'Pull contrast back after strong guidance, 0 to 1' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l eta -d 'How much of each jump of tcd is fresh noise, 0 to 1 [default: 0.3]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l clip-skip -d 'Leave out so many of the text encoders\' last layers, 0 to 64' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l text-tokens -d 'Tokens of the text that T5 reads; fewer take less time, 4 to 512 [default: the model\'s]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l scheduler -d 'ddpm, ddim, euler, euler-ancestral, dpmpp-2m, dpmpp-2m-karras, dpmpp-sde, lcm, unipc, deis, heun, lms, kdpm2, kdpm2-ancestral, dpmpp-2s, dpmpp-2s-sde, tcd, pndm or flow-euler [default: the model\'s]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l seed -d 'The same seed gives the same picture [default: random, and printed]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l latents -d 'Initial noise, f32 [1,c,h/f,w/f], standard normal (f is the model\'s VAE factor)' -r -F
complete -c easel -n "__fish_easel_using_subcommand paint" -l save-latents -d 'Save the final latents, before they become a picture' -r -F
complete -c easel -n "__fish_easel_using_subcommand paint" -l image -d 'Begin with this picture, PNG, JPEG or WebP; without --size its shape is kept' -r -F
complete -c easel -n "__fish_easel_using_subcommand paint" -l strength -d 'How much of --image is given up, 0 to 1 [default: 0.8, with --mask 1]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l mask -d 'What of --image is painted anew: white; black stays as it is' -r -F
complete -c easel -n "__fish_easel_using_subcommand paint" -l image-guidance -d 'How closely to keep to --image, 1 to 50, of models that change pictures as they are told [default: 1.5]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l controlnet -d 'Folder of a ControlNet, once for each --control [default: controlnet, controlnet_1 … of the model]' -r -F
complete -c easel -n "__fish_easel_using_subcommand paint" -l control -d 'Follow this picture; canny:FILE follows the edges of one, qr:TEXT a code that says TEXT' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l control-scale -d 'How much a --control counts, 0 to 2, in their order [default: 1]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l control-start -d 'The share of the steps before a --control counts, 0 to 1, in their order [default: 0]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l control-end -d 'The share of the steps after which a --control does not count, 0 to 1, in their order [default: 1]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l ip-image -d 'Paint like this picture' -r -F
complete -c easel -n "__fish_easel_using_subcommand paint" -l ip-scale -d 'How much like --ip-image, 0 to 2 [default: 1]' -r
complete -c easel -n "__fish_easel_using_subcommand paint" -l no-paste -d 'With --mask: leave what stays as the model\'s autoencoder gives it back'
complete -c easel -n "__fish_easel_using_subcommand paint" -l control-guess -d 'Let --control have the say where the prompt has none'
complete -c easel -n "__fish_easel_using_subcommand paint" -l json -d 'Print one line of JSON on standard output'
complete -c easel -n "__fish_easel_using_subcommand paint" -l quiet -d 'No progress'
complete -c easel -n "__fish_easel_using_subcommand paint" -s h -l help -d 'Print help'
complete -c easel -n "__fish_easel_using_subcommand bench" -l model -d 'Model directory [default: EASEL_MODEL, models/pocket, then the installed model]' -r -F
complete -c easel -n "__fish_easel_using_subcommand bench" -l memory -d 'Memory that the process may take at most; weights that do not fit are read while they are needed' -r
complete -c easel -n "__fish_easel_using_subcommand bench" -l threads -d 'Worker threads [default: all cores]' -r
complete -c easel -n "__fish_easel_using_subcommand bench" -l cache -d 'Folder for what is made of a model at its first start; `off` keeps nothing [default: EASEL_CACHE, then easel in the user\'s cache folder]' -r
complete -c easel -n "__fish_easel_using_subcommand bench" -l component -d 'Folder of a network, as text_encoder, unet or vae_decoder [default: the denoiser]' -r
complete -c easel -n "__fish_easel_using_subcommand bench" -l size -d 'Picture size in pixels; the text encoder works alike for all [default: the model\'s]' -r
complete -c easel -n "__fish_easel_using_subcommand bench" -l storage -d 'Read weights no faster than so, to see what a slower card would do' -r
complete -c easel -n "__fish_easel_using_subcommand bench" -l repeat -d 'Passes to time, 1 to 10000, after one that is not timed' -r
complete -c easel -n "__fish_easel_using_subcommand bench" -l guided -d 'Time passes of both halves of guidance, as painting makes them'
complete -c easel -n "__fish_easel_using_subcommand bench" -l explain -d 'Also print where the time of a pass goes, by kind of node'
complete -c easel -n "__fish_easel_using_subcommand bench" -l report -d 'Measure this machine with a fixed set of things and print what can be sent to easel\'s makers'
complete -c easel -n "__fish_easel_using_subcommand bench" -l json -d 'Print one line of JSON on standard output'
complete -c easel -n "__fish_easel_using_subcommand bench" -s h -l help -d 'Print help'
complete -c easel -n "__fish_easel_using_subcommand serve" -l board -d 'The board\'s configuration' -r -F
complete -c easel -n "__fish_easel_using_subcommand serve" -l state -d 'Folder for queue, history and settings [default: STATE_DIRECTORY, then easel in the user\'s state folder]' -r -F
complete -c easel -n "__fish_easel_using_subcommand serve" -l cache -d 'Folder for what is made of a model at its first start; `off` keeps nothing [default: EASEL_CACHE, then easel in the user\'s cache folder]' -r
complete -c easel -n "__fish_easel_using_subcommand serve" -s h -l help -d 'Print help'
complete -c easel -n "__fish_easel_using_subcommand plan" -l model -d 'Model directory [default: EASEL_MODEL, models/pocket, then the installed model]' -r -F
complete -c easel -n "__fish_easel_using_subcommand plan" -l memory -d 'Memory that the process may take at most; weights that do not fit are read while they are needed' -r
complete -c easel -n "__fish_easel_using_subcommand plan" -l threads -d 'Worker threads [default: all cores]' -r
complete -c easel -n "__fish_easel_using_subcommand plan" -l cache -d 'Folder for what is made of a model at its first start; `off` keeps nothing [default: EASEL_CACHE, then easel in the user\'s cache folder]' -r
complete -c easel -n "__fish_easel_using_subcommand plan" -l size -d 'Picture size in pixels [default: the model\'s]' -r
complete -c easel -n "__fish_easel_using_subcommand plan" -l controls -d 'With pictures for so many ControlNets' -r
complete -c easel -n "__fish_easel_using_subcommand plan" -l component -d 'Of one network by itself, by its folder, as text_encoder, unet or vae_decoder; a denoiser guided [default: a whole picture]' -r
complete -c easel -n "__fish_easel_using_subcommand plan" -l image -d 'With a picture to begin with'
complete -c easel -n "__fish_easel_using_subcommand plan" -l ip-image -d 'With a picture to paint like'
complete -c easel -n "__fish_easel_using_subcommand plan" -l json -d 'Print one line of JSON on standard output'
complete -c easel -n "__fish_easel_using_subcommand plan" -s h -l help -d 'Print help'
complete -c easel -n "__fish_easel_using_subcommand import" -l config -d 'Of a checkpoint in one file, what the file does not say: a folder with diffusers\' configurations, or what the U-Net predicts, epsilon or v_prediction [default: as the published models of its shape]' -r
complete -c easel -n "__fish_easel_using_subcommand import" -l out -d 'The model directory to make; it must not be there yet' -r -F
complete -c easel -n "__fish_easel_using_subcommand import" -l revision -d 'A branch, tag or commit of the hub\'s repository [default: main]' -r
complete -c easel -n "__fish_easel_using_subcommand import" -l precision -d 'How weights are stored: int8 is smallest and fastest' -r -f -a "int8\t''
fp16\t''
fp32\t''"
complete -c easel -n "__fish_easel_using_subcommand import" -l decoder -d 'Another autoencoder for the checkpoint\'s own, as TAESD, which paints faster: a folder of diffusers, a file (.safetensors), or a name of the hub' -r -F
complete -c easel -n "__fish_easel_using_subcommand import" -l lora -d 'A LoRA for the checkpoint (.safetensors, or OWNER/NAME/FILE.safetensors on the hub), and how strong it is [default: 1]; may be given several times' -r
complete -c easel -n "__fish_easel_using_subcommand import" -l ip-adapter -d 'An IP-Adapter, plain or Plus, in its authors\' format (.safetensors)' -r -F
complete -c easel -n "__fish_easel_using_subcommand import" -l image-encoder -d 'The folder of its image encoder [default: where it is published, beside the adapter]' -r -F
complete -c easel -n "__fish_easel_using_subcommand import" -l size -d 'Picture size of the model where none is asked for [default: the checkpoint\'s]' -r
complete -c easel -n "__fish_easel_using_subcommand import" -l steps -d 'Denoising steps, likewise' -r
complete -c easel -n "__fish_easel_using_subcommand import" -l guidance -d 'Guidance scale, likewise, 0 to 50' -r
complete -c easel -n "__fish_easel_using_subcommand import" -l scheduler -d 'Sampler, likewise' -r
complete -c easel -n "__fish_easel_using_subcommand import" -l list -d 'Print models that suit small boards, and import nothing'
complete -c easel -n "__fish_easel_using_subcommand import" -l json -d 'Print one line of JSON on standard output'
complete -c easel -n "__fish_easel_using_subcommand import" -l quiet -d 'No progress'
complete -c easel -n "__fish_easel_using_subcommand import" -s h -l help -d 'Print help'
complete -c easel -n "__fish_easel_using_subcommand doctor" -l board -d 'The board\'s configuration' -r -F
complete -c easel -n "__fish_easel_using_subcommand doctor" -l state -d 'The state folder of `easel serve` [default: as easel serve; for a board in /etc/easel /var/lib/easel]' -r -F
complete -c easel -n "__fish_easel_using_subcommand doctor" -l no-display -d 'Show no test pattern'
complete -c easel -n "__fish_easel_using_subcommand doctor" -l print-config -d 'Print the configuration as it is after inheritance, with all defaults, and check nothing'
complete -c easel -n "__fish_easel_using_subcommand doctor" -l json -d 'Print one line of JSON on standard output'
complete -c easel -n "__fish_easel_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c easel -n "__fish_easel_using_subcommand help; and not __fish_seen_subcommand_from paint bench serve plan import doctor help" -f -a "paint" -d 'Paint one picture from a prompt'
complete -c easel -n "__fish_easel_using_subcommand help; and not __fish_seen_subcommand_from paint bench serve plan import doctor help" -f -a "bench" -d 'Time one network of a model'
complete -c easel -n "__fish_easel_using_subcommand help; and not __fish_seen_subcommand_from paint bench serve plan import doctor help" -f -a "serve" -d 'Paint what comes over MQTT, from a playlist and from buttons, for years'
complete -c easel -n "__fish_easel_using_subcommand help; and not __fish_seen_subcommand_from paint bench serve plan import doctor help" -f -a "plan" -d 'Show what painting takes of memory'
complete -c easel -n "__fish_easel_using_subcommand help; and not __fish_seen_subcommand_from paint bench serve plan import doctor help" -f -a "import" -d 'Make a model of a checkpoint'
complete -c easel -n "__fish_easel_using_subcommand help; and not __fish_seen_subcommand_from paint bench serve plan import doctor help" -f -a "doctor" -d 'Check a board\'s configuration, its model and this machine'
complete -c easel -n "__fish_easel_using_subcommand help; and not __fish_seen_subcommand_from paint bench serve plan import doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
