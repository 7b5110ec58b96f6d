# Lines for a shell; -V 5 where MQTT 5 is needed. Add -h HOST -u USER -P PASSWORD as your broker wants it.

# Paint.
mosquitto_pub -q 1 -t easel/kitchen/paint -m "a blue cat on a red background"
mosquitto_pub -q 1 -t easel/kitchen/paint -m '{"prompt":"a sailboat at night","steps":20,"seed":7,"id":"sailboat-1"}'

# Paint within ten minutes or not at all, and hear the answer on a topic of one's own.
mosquitto_pub -V 5 -q 1 -t easel/kitchen/paint -m "a castle on purple" -D publish message-expiry-interval 600 -D publish response-topic answers/me -D publish correlation-data 42

# Stop it, look at another picture, change settings.
mosquitto_pub -q 1 -t easel/kitchen/cancel -n
mosquitto_pub -q 1 -t easel/kitchen/show -m next
mosquitto_pub -q 1 -t easel/kitchen/set/kiosk -m ON
mosquitto_pub -q 1 -t easel/kitchen/set/interval -m 600
mosquitto_pub -q 1 -t easel/kitchen/set/prompt -m "a rose on a green background"
mosquitto_pub -q 1 -t easel/kitchen/generate -m press
